/** Which view a call on the model means, where asynchronous calls are followed and where they are not. */
import { describe, expect, test } from 'vitest';
import { InsideWork } from './inside-work.ts';

const turn = () => new Promise((resolve) => setTimeout(resolve, 1));

describe('where asynchronous calls are followed', () => {
  test('works that overlap each keep their own, after any number of awaits', async () => {
    const inside = new InsideWork<string>();
    const seen = await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        inside.run(name, async () => {
          await turn();
          await turn();
          return inside.current();
        }),
      ),
    );
    expect(seen).toEqual(['a', 'b', 'c']);
    expect(inside.current()).toBeUndefined();
  });

  test('one inside another, and back again; a call outside meanwhile is outside', async () => {
    const inside = new InsideWork<string>();
    const work = inside.run('outer', async () => {
      const inner = await inside.run('inner', async () => inside.current());
      await turn();
      return [inner, inside.current()];
    });
    expect(inside.current()).toBeUndefined();
    expect(await work).toEqual(['inner', 'outer']);
  });
});

describe('in a browser', () => {
  test('what runs synchronously is known; after that nothing is guessed', async () => {
    const inside = new InsideWork<string>(false);
    let late: unknown;
    const work = inside.run('a', async () => {
      const early = inside.current();
      await turn();
      try {
        inside.current();
      } catch (error) {
        late = error;
      }
      return early;
    });
    expect(() => inside.current()).toThrow('WORK_UNCLEAR');
    expect(await work).toBe('a');
    expect(late).toMatchObject({ code: 'WORK_UNCLEAR' });
    expect(inside.current()).toBeUndefined();
  });

  test('a work that throws leaves nothing behind', async () => {
    const inside = new InsideWork<string>(false);
    const boom = async () => {
      throw new Error('boom');
    };
    await expect(inside.run('a', boom)).rejects.toThrow('boom');
    expect(inside.current()).toBeUndefined();
  });
});
