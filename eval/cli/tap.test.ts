/** What a tap shows is what the model computes, padding included; what a session cannot read rightly is refused. */
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createSession } from '../../hooks/session/index.ts';
import { openModel } from '../../onnx/index.ts';
import { recognise } from '../../sites/index.ts';
import { tapCommand } from './tap.ts';

const FIXTURES = join(import.meta.dirname, '..', '..', 'testbed', 'fixtures');
const IDS = [3, 5, 7, 9, 11];

interface Tensor {
  readonly dims: readonly number[];
  readonly data: readonly (number | null)[];
}

async function tap(
  model: string,
  ids: readonly number[],
  mask: readonly number[],
): Promise<Record<string, Tensor>> {
  const out = join(mkdtempSync(join(tmpdir(), 'attune-tap-')), 'taps.json');
  const inputs = [`input_ids=[${JSON.stringify(ids)}]`, `attention_mask=[${JSON.stringify(mask)}]`];
  const given = inputs.flatMap((input) => ['--input', input]);
  await tapCommand([join(FIXTURES, model), ...given, '--points', '**', '--out', out]);
  return JSON.parse(readFileSync(out, 'utf8')) as Record<string, Tensor>;
}

describe.each(['llama-gqa/onnx/model.onnx', 'llama-sdpa/onnx/model.onnx'])('%s', (model) => {
  test('left padding changes nothing that the tokens are read with', async () => {
    const alone = await tap(model, IDS, [1, 1, 1, 1, 1]);
    const padded = await tap(model, [0, 0, 0, ...IDS], [0, 0, 0, 1, 1, 1, 1, 1]);
    for (const point of ['hook_z', 'hook_pattern'].map((name) => `blocks.1.attn.${name}`)) {
      expect(largestDifference(lastOf(padded[point]!, alone[point]!.dims), alone[point]!.data)).toBeLessThan(
        1e-5,
      );
    }
  });
});

/** The end of each axis that is longer than in `dims`. */
function lastOf({ dims, data }: Tensor, wanted: readonly number[]): (number | null)[] {
  const skipped = dims.map((length, axis) => length - wanted[axis]!);
  const strides = dims.map((_, axis) => dims.slice(axis + 1).reduce((a, b) => a * b, 1));
  const count = wanted.reduce((a, b) => a * b, 1);
  return Array.from({ length: count }, (_, i) => {
    let rest = i;
    let at = 0;
    for (let axis = wanted.length - 1; axis >= 0; axis--) {
      at += ((rest % wanted[axis]!) + skipped[axis]!) * strides[axis]!;
      rest = Math.floor(rest / wanted[axis]!);
    }
    return data[at]!;
  });
}

function largestDifference(a: readonly (number | null)[], b: readonly (number | null)[]): number {
  expect(a.length).toBe(b.length);
  return Math.max(...a.map((value, i) => Math.abs((value ?? 0) - (b[i] ?? 0))));
}

test('masks of another length, and ids below 0, are refused in the caller’s words', async () => {
  const model = 'llama-gqa/onnx/model.onnx';
  await expect(tap(model, IDS, [1, 1, 1])).rejects.toMatchObject({ code: 'MASK_MISMATCH' });
  await expect(tap(model, [3, -5], [1, 1])).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
});

test('a bare session that would read padding as text refuses it', async () => {
  const file = await openModel(join(FIXTURES, 'llama-gqa', 'onnx', 'model.onnx'));
  const { completeFeeds, loadRuntime } = await import('../../hooks/session/index.ts');
  const runtime = await loadRuntime('node');
  const feeds = completeFeeds(
    file.model.graph,
    { input_ids: [[0, 3, 5]], attention_mask: [[0, 1, 1]] },
    runtime,
  );
  await using session = await createSession(file, recognise(file.model), {}, { runtime });
  await expect(session.run(feeds)).rejects.toMatchObject({ code: 'PADDING_UNCORRECTED' });
  file.close();
});
