import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { defineTask } from './definition.ts';
import { findTask } from './find.ts';
import { loadItems } from './items.ts';

const root = mkdtempSync(join(tmpdir(), 'attune-tasks-'));
afterAll(() => rmSync(root, { recursive: true }));

const definition = {
  name: 'qa',
  output: 'multiple_choice',
  source: { file: 'qa.jsonl' },
  fields: { q: 'string', options: 'list', gold: 'integer' },
  prompt: 'Q: {{ q }}\nA:',
  choices: '{{ options | tojson }}',
  target: '{{ gold }}',
  metrics: ['acc'],
};

const good = (i: number) => ({ q: `${i}?`, options: ['no', 'yes'], gold: i % 2 });

function load(records: unknown[], changes: object = {}, options: object = {}) {
  writeFileSync(join(root, 'qa.jsonl'), records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  return loadItems(defineTask({ ...definition, ...changes }), { root, ...options });
}

describe('one bad record', () => {
  test.each([
    ['a field is missing', { q: 'x', gold: 0 }, 'DATA_FIELD_MISSING', /options/],
    [
      'a field is null',
      { q: null, options: ['a', 'b'], gold: 0 },
      'DATA_FIELD_MISSING',
      /null in the field "q"/,
    ],
    [
      'a field has another type',
      { q: 3, options: ['a', 'b'], gold: 0 },
      'DATA_FIELD_TYPE',
      /3 in the field "q"/,
    ],
    [
      'a gold index is no integer',
      { q: 'x', options: ['a', 'b'], gold: 0.5 },
      'DATA_FIELD_TYPE',
      /an integer/,
    ],
    ['the list of choices is empty', { q: 'x', options: [], gold: 0 }, 'DATA_CHOICES', /0 choices/],
    ['a choice is empty', { q: 'x', options: ['a', ''], gold: 0 }, 'DATA_CHOICES', /an empty choice/],
    [
      'the gold index is out of range',
      { q: 'x', options: ['a', 'b'], gold: 2 },
      'DATA_TARGET',
      /"2".*from 0 to 1/,
    ],
    ['the gold index is negative', { q: 'x', options: ['a', 'b'], gold: -1 }, 'DATA_TARGET', /"-1"/],
  ])('%s: named by file and line, or counted with skipBad', async (_, record, code, message) => {
    const records = [good(0), record, good(2)];
    await expect(load(records)).rejects.toMatchObject({
      code,
      at: 'qa.jsonl:2',
      message: expect.stringMatching(message),
    });
    const { items, bad } = await load(records, {}, { skipBad: true });
    expect(items.map(({ at }) => at)).toEqual(['qa.jsonl:1', 'qa.jsonl:3']);
    expect(bad.map((error) => error.code)).toEqual([code]);
  });

  test('a duplicate id names both lines; skipBad keeps the first', async () => {
    const records = [good(0), good(1), good(0)];
    const changes = { id: '{{ q }}' };
    await expect(load(records, changes)).rejects.toMatchObject({
      code: 'DATA_DUPLICATE_ID',
      at: 'qa.jsonl:3',
      found: 'the id "0?", which qa.jsonl:1 has as well',
    });
    expect((await load(records, changes, { skipBad: true })).items.map(({ id }) => id)).toEqual(['0?', '1?']);
  });

  test('no good record left is an error even with skipBad', async () => {
    await expect(load([{ q: 'x' }], {}, { skipBad: true })).rejects.toMatchObject({ code: 'DATA_EMPTY' });
  });
});

describe('a prompt in parts', () => {
  const cut = (parts: unknown, changes: object = {}) => ({
    prompt: { prefix: 'Q: {{ q }}\n', parts, suffix: 'A:', ...changes },
  });

  test('is their join, and the item keeps the pieces', async () => {
    for (const parts of [
      ['- {{ options[0] }}\n', '- {{ options[1] }}\n'],
      '{{ ["- no\\n", "- yes\\n"] | tojson }}',
    ]) {
      const { items } = await load([good(0)], cut(parts));
      expect(items[0]).toMatchObject({
        segments: { prefix: 'Q: 0?\n', parts: ['- no\n', '- yes\n'], suffix: 'A:' },
        options: [{ context: 'Q: 0?\n- no\n- yes\nA:' }, {}],
      });
    }
  });

  test.each([
    ['one part', cut('["a"]'), '1 parts'],
    ['an empty part', cut('["a", ""]'), 'an empty part (1)'],
    ['no prefix', cut('["a", "b"]', { prefix: '' }), 'an empty prefix'],
    ['a suffix of spaces', cut('["a", "b"]', { suffix: ' ' }), 'an empty suffix'],
  ])('%s is an error with file and line', async (_, changes, found) => {
    await expect(load([good(0)], changes)).rejects.toMatchObject({
      code: 'DATA_SEGMENTS',
      at: 'qa.jsonl:1',
      found,
    });
  });

  test('a file has one split', async () => {
    await expect(load([good(0)], {}, { split: 'validation' })).rejects.toMatchObject({
      code: 'TASK_SPLIT',
      at: 'task qa',
    });
    expect((await load([good(0)], {}, { split: 'test' })).split).toBe('test');
  });
});

describe('shots', () => {
  const solved = (i: number) => `Q: ${i}?\nA: ${i % 2 ? 'yes' : 'no'}\n\n`;

  test('are other items with their answers, the same for the same seed, whatever the limit', async () => {
    const records = Array.from({ length: 9 }, (_, i) => good(i));
    const { items } = await load(records, { shots: 3 });
    items.forEach((item, i) => {
      if (item.output !== 'multiple_choice') throw new Error(item.output);
      const { context } = item.options[0]!;
      expect(context.endsWith(`Q: ${i}?\nA:`)).toBe(true);
      const shown = [...context.matchAll(/Q: (\d)\?\nA: /g)].map(([, n]) => Number(n));
      expect(new Set(shown).size).toBe(3);
      expect(shown).not.toContain(i);
      expect(context).toBe(`${shown.map(solved).join('')}Q: ${i}?\nA:`);
      expect(item.options[1]!.context).toBe(context);
    });
    const limited = await load(records, { shots: 3 }, { limit: 4 });
    for (const item of limited.items) expect(items).toContainEqual(item);
  });

  test('stand before the prefix of a prompt in parts', async () => {
    const prompt = { prefix: 'Q: {{ q }}\n', parts: ['1\n', '2\n'], suffix: 'A:' };
    const { items } = await load([good(0), good(1)], { shots: 1, prompt });
    const [item] = items;
    if (item?.output !== 'multiple_choice') throw new Error(item?.output);
    const { prefix, parts, suffix } = item.segments!;
    expect(prefix).toBe('Q: 1?\n1\n2\nA: yes\n\nQ: 0?\n');
    expect(item.options[0]!.context).toBe(prefix + parts.join('') + suffix);
  });

  test('more than there are others is an error', async () => {
    await expect(load([good(0), good(1)], { shots: 2 })).rejects.toMatchObject({
      code: 'DATA_SHOTS',
      at: 'qa.jsonl:1',
      found: '1 other items',
    });
  });
});

describe('rendering', () => {
  test('several prompts share one continuation, or take one each', async () => {
    const winograd = {
      prompt: ['{{ q }} a', '{{ q }} b'],
      choices: ['{{ options[0] }}'],
      delimiter: '|',
    };
    const { items } = await load([good(1)], winograd);
    expect(items[0]).toMatchObject({
      options: [
        { context: '1? a', continuation: '|no', text: 'no' },
        { context: '1? b', continuation: '|no', text: 'no' },
      ],
    });
    await expect(load([good(1)], { ...winograd, choices: ['x', 'y', 'z'] })).rejects.toMatchObject({
      code: 'DATA_CHOICES',
      found: '3 choices for 2 prompts',
    });
  });

  test('targetIs indices takes some of the choices, and not all', async () => {
    const indices = (target: string) => load([good(0)], { target, targetIs: 'indices' });
    expect((await indices('[1]')).items[0]).toMatchObject({ gold: 1, right: [1] });
    for (const target of ['1', '[]', '[0, 1]', '[2]', '[1, 1]', 'x']) {
      await expect(indices(target)).rejects.toMatchObject({ code: 'DATA_TARGET', expected: /some, not all/ });
    }
  });

  test('targetIs text finds the choice', async () => {
    const { items } = await load([good(0)], { target: 'yes', targetIs: 'text' });
    expect(items[0]).toMatchObject({ gold: 1 });
    await expect(load([good(0)], { target: 'maybe', targetIs: 'text' })).rejects.toMatchObject({
      code: 'DATA_TARGET',
      expected: 'one of "no", "yes"',
    });
  });

  test('loglikelihood and rolling items', async () => {
    const { choices: _, ...rest } = definition;
    writeFileSync(join(root, 'qa.jsonl'), JSON.stringify(good(1)));
    const continued = defineTask({ ...rest, output: 'loglikelihood', target: '{{ q }}' });
    expect((await loadItems(continued, { root })).items).toEqual([
      {
        id: 'qa.jsonl:1',
        at: 'qa.jsonl:1',
        output: 'loglikelihood',
        context: 'Q: 1?\nA:',
        continuation: ' 1?',
      },
    ]);
    const { prompt: __, ...text } = rest;
    const rolling = defineTask({
      ...text,
      output: 'loglikelihood_rolling',
      target: '{{ q }}!',
      metrics: ['word_perplexity'],
    });
    expect((await loadItems(rolling, { root })).items).toEqual([
      { id: 'qa.jsonl:1', at: 'qa.jsonl:1', output: 'loglikelihood_rolling', text: '1?!' },
    ]);
  });

  test.each([
    ['a name that is no field', { prompt: '{{ query }}' }, /"query".*nearest: q/],
    ['a name inside a filter argument', { prompt: '{{ options | join(sep) }}' }, /"sep"/],
    ['bad syntax', { prompt: '{{ q' }, /"prompt"/],
  ])('%s is an error before any record is read', async (_, changes, message) => {
    await expect(load([], changes)).rejects.toMatchObject({
      code: 'TASK_TEMPLATE',
      message: expect.stringMatching(message),
    });
  });

  test('names that templates bind themselves are known', async () => {
    const prompt =
      '{% set n = namespace(s="") %}{% for o in options if o is defined %}{% set n.s = n.s ~ loop.index ~ o %}{% endfor %}{{ n.s }} {{ source }} {{ k.a }}';
    const { items } = await load([good(0)], { prompt, constants: { k: { a: 1 } } });
    expect(items[0]).toMatchObject({ options: [{ context: '1no2yes qa 1' }, {}] });
  });
});

describe('sampling', () => {
  const records = Array.from({ length: 50 }, (_, i) => good(i));
  const ids = async (limit: number, seed: number) =>
    (await load(records, {}, { limit, seed })).items.map(({ id }) => id);

  test('a limit takes a sample in file order that grows without changing', async () => {
    const [ten, twenty] = [await ids(10, 1), await ids(20, 1)];
    expect(ten).toHaveLength(10);
    expect(twenty).toEqual(expect.arrayContaining(ten));
    const lines = twenty.map((id) => Number(id.split(':')[1]));
    expect(lines).toEqual([...lines].sort((a, b) => a - b));
  });

  test('the order of the sample begins with every smaller sample', async () => {
    const { items, order } = await load(records, {}, { limit: 30, seed: 1 });
    expect([...order].sort((a, b) => a - b)).toEqual([...items.keys()]);
    for (const limit of [1, 7, 20]) {
      const first = order.slice(0, limit).map((index) => items[index]!.id);
      expect(new Set(first)).toEqual(new Set(await ids(limit, 1)));
    }
  });

  test('the seed decides, and nothing else', async () => {
    expect(await ids(10, 1)).toEqual(await ids(10, 1));
    expect(await ids(10, 2)).not.toEqual(await ids(10, 1));
  });
});

describe('definitions', () => {
  test.each([
    ['an unknown entry', { promt: 'x' }, /promt/],
    ['an unknown metric', { metrics: ['f1'] }, /metrics/],
    ['no metric', { metrics: [] }, /metrics/],
    ['no name', { name: undefined }, /name/],
  ])('%s is refused with its name', (_, changes, message) => {
    expect(() => defineTask({ ...definition, ...changes }, 'my.json')).toThrow(
      expect.objectContaining({
        code: 'TASK_INVALID',
        at: 'my.json',
        message: expect.stringMatching(message),
      }),
    );
  });

  test('a task is found by name or file; an unknown name gets suggestions', async () => {
    expect((await findTask('copa')).task.name).toBe('copa');
    await expect(findTask('hella-swag')).rejects.toMatchObject({
      code: 'TASK_UNKNOWN',
      hint: expect.stringContaining('hellaswag'),
    });
    const broken = join(root, 'broken.json');
    writeFileSync(broken, '{');
    await expect(findTask(broken)).rejects.toMatchObject({ code: 'TASK_FILE', at: broken });
  });
});

describe('what becomes of a record', () => {
  test('"where" leaves records out, and says so when it is neither true nor false', async () => {
    const { items, total } = await load([0, 1, 2, 3].map(good), { where: '{{ gold == 1 }}' });
    expect([items.map(({ id }) => id), total]).toEqual([['qa.jsonl:2', 'qa.jsonl:4'], 2]);
    await expect(load([good(0)], { where: '{{ gold }}' })).rejects.toMatchObject({ code: 'DATA_FIELD_TYPE' });
  });

  test('and, or, not are no names', async () => {
    const { total } = await load([0, 1, 2].map(good), {
      where: '{{ not (gold == 1 and q == "1?") or false }}',
    });
    expect(total).toBe(2);
  });

  test('a record with variants is an item for each, sampled and resampled together', async () => {
    const changes = {
      variants: { place: [0, 5, 'end'] },
      prompt: '{{ place }}: {{ q }}',
      slice: '{{ place }}',
    };
    const { items } = await load([0, 1, 2, 3, 4].map(good), changes, { limit: 6 });
    expect(items).toHaveLength(6);
    expect(items.slice(0, 3).map(({ slice }) => slice)).toEqual(['0', '5', 'end']);
    for (const item of items) {
      expect(item.id).toBe(`${item.record}/place=${item.slice}`);
      expect(item.cluster).toBe(item.record);
    }
    expect(new Set(items.map(({ record }) => record)).size).toBe(2);
  });

  test('a position is a whole number', async () => {
    const { items } = await load([good(1)], { position: '{{ gold }}' });
    expect(items[0]!.position).toBe(1);
    await expect(load([good(1)], { position: 'first' })).rejects.toMatchObject({
      code: 'DATA_FIELD_TYPE',
      at: 'qa.jsonl:1',
    });
  });

  test('a written answer needs a right one with text', async () => {
    const { choices: _, ...rest } = definition;
    const written = { output: 'generate_until', maxTokens: 4, metrics: ['exact_match'] };
    const task = (target: string) => ({ ...rest, ...written, target });
    writeFileSync(join(root, 'qa.jsonl'), `${JSON.stringify(good(1))}\n`);
    const { items } = await loadItems(defineTask(task('{{ gold }}')), { root });
    expect(items[0]).toMatchObject({ answers: ['1'], until: [], rule: { take: 'first', ignore: ['space'] } });
    await expect(loadItems(defineTask(task(' ')), { root })).rejects.toMatchObject({ code: 'DATA_TARGET' });
    expect(() => defineTask({ ...task('x'), answer: { extract: '(' } })).toThrow(
      expect.objectContaining({ code: 'TASK_INVALID' }),
    );
  });
});
