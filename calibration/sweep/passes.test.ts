import fc from 'fast-check';
import { expect, test } from 'vitest';
import { passesOf, type Request, type Step, tokens } from './passes.ts';

/** Every prediction of every call with all that was before it. */
function predicted(steps: readonly Step[], before: readonly number[] = []): [string, number, number][] {
  return steps.flatMap(({ ids, predictions, next }) => {
    const text = [...before, ...ids];
    return [
      ...predictions.map(({ position, token, request }): [string, number, number] => [
        text.slice(0, before.length + position + 1).join(),
        token,
        request,
      ]),
      ...predicted(next, text),
    ];
  });
}

const everyStep = (steps: readonly Step[]): Step[] =>
  steps.flatMap((step) => [step, ...everyStep(step.next)]);

const expected = (requests: readonly Request[]) =>
  requests.flatMap(({ context, continuation }, request) =>
    continuation.map((token, k) => [[...context, ...continuation.slice(0, k)].join(), token, request]),
  );
const sorted = (list: readonly unknown[]) => list.map((entry) => JSON.stringify(entry)).sort();

test('each token of each continuation is predicted once, from all that comes before it', () => {
  const ids = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 24 });
  const request = fc.record({ context: ids, continuation: ids });
  const together = fc
    .tuple(ids, fc.array(ids, { minLength: 1, maxLength: 5 }))
    .map(([context, all]) => all.map((continuation) => ({ context, continuation })));
  fc.assert(
    fc.property(
      fc.oneof(fc.array(request, { minLength: 1, maxLength: 4 }), together),
      fc.boolean(),
      fc.integer({ min: 1, max: 4 }),
      (requests, share, layers) => {
        const steps = passesOf(requests, { share, layers });
        expect(sorted(predicted(steps))).toEqual(sorted(expected(requests)));
        expect(everyStep(steps).filter(({ prompt }) => prompt !== undefined)).toHaveLength(
          new Set(requests.map(({ context }) => context.join())).size,
        );
        if (!share) expect(steps.every(({ next }) => next.length === 0)).toBe(true);
      },
    ),
  );
});

const deep = { share: true, layers: 24 };
const context = Array.from({ length: 40 }, (_, i) => i);

test('choices of one token are one call, longer ones go on from its cache', () => {
  const single = passesOf(
    [[1], [2], [3]].map((continuation) => ({ context, continuation })),
    deep,
  );
  expect(single).toHaveLength(1);
  expect(single[0]!.next).toEqual([]);
  const alike = [
    [5, 1],
    [5, 2],
    [6, 7, 8],
  ].map((continuation) => ({ context, continuation }));
  const [root, ...others] = passesOf(alike, deep);
  expect(others).toEqual([]);
  expect(root!.ids).toEqual(context);
  expect(root!.next.map(({ ids }) => ids)).toEqual([[5], [6]]);
  expect(tokens([root!])).toBe(40 + 3 * 8);
  expect(passesOf(alike, { share: false, layers: 24 })).toHaveLength(2);
});

test('with one layer the context goes first, without its last token: it predicts nothing', () => {
  const requests = [[1], [2]].map((continuation) => ({ context, continuation }));
  const [first] = passesOf(requests, { share: true, layers: 1 });
  expect([first!.ids.length, first!.predictions.length, first!.prompt]).toEqual([39, 0, undefined]);
  expect(first!.next).toHaveLength(1);
  expect(first!.next[0]).toMatchObject({ ids: [39], prompt: 0, next: [] });
});
