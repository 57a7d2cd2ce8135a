/**
 * Over the options of the fused operators' schemas: the pattern that is shown is what multiplies V, its rows sum to one
 * (less where a sink takes part), and reading it leaves the operator's result bit for bit. What ONNX Runtime itself
 * refuses is no set.
 */
import { expect, test } from 'vitest';
import { createSession, loadRuntime } from '../../hooks/session/index.ts';
import { assemble, encodeModel, openModel } from '../../onnx/index.ts';
import { recognise } from '../../sites/index.ts';
import { locatePoints } from '../../sites/points/index.ts';
import { cases } from '../../testbed/long.test-support.ts';
import { type OptionSet, optionSet } from './option-sets.test-support.ts';

const SETS = cases(48);
const runtime = await loadRuntime('node');
const nothing = { size: 0, name: 'nothing', read: async () => new Uint8Array(0), close() {} };

type Tensors = Readonly<Record<string, { readonly dims: readonly number[]; readonly data: unknown }>>;

/** V by batch row, key, kv head, channel: what the call kept, else what it was given. */
function valueAt({ K, D }: OptionSet, all: Tensors): (b: number, t: number, k: number, c: number) => number {
  const present = all.present_v;
  if (present) {
    const [data, T] = [present.data as Float32Array, present.dims[2]!];
    return (b, t, k, c) => data[((b * K + k) * T + t) * D + c]!;
  }
  const { data, dims } = all['blocks.0.attn.hook_v'] ?? all['blocks.0.cross_attn.hook_v']!;
  return (b, t, k, c) => (data as Float32Array)[((b * dims[1]! + t) * K + k) * D + c]!;
}

/** The largest |Σ pattern·V − z|, and how far rows are from summing to at most one. */
function deviations(set: OptionSet, all: Tensors): { z: number; above: number } {
  const { B, H, K, D, S, rows } = set;
  const pattern = (all['blocks.0.attn.hook_pattern'] ?? all['blocks.0.cross_attn.hook_pattern'])!;
  const z = (all['blocks.0.attn.hook_z'] ?? all['blocks.0.cross_attn.hook_z'])!;
  const [P, Z, T] = [pattern.data as Float32Array, z.data as Float32Array, pattern.dims[3]!];
  const V = valueAt(set, all);
  const worst = { z: 0, above: 0 };
  for (let b = 0; b < B; b++)
    for (let h = 0; h < H; h++)
      for (let s = 0; s < rows[b]!; s++) {
        const row = P.subarray(((b * H + h) * S + s) * T, ((b * H + h) * S + s + 1) * T);
        worst.above = Math.max(worst.above, Math.abs(row.reduce((a, x) => a + x, 0)) - 1);
        for (let c = 0; c < D; c++) {
          let sum = 0;
          for (let t = 0; t < T; t++) if (row[t] !== 0) sum += row[t]! * V(b, t, Math.floor(h / (H / K)), c);
          const off = Math.abs(sum - Z[((b * S + s) * H + h) * D + c]!);
          worst.z = Math.max(worst.z, Number.isNaN(off) ? Infinity : off);
        }
      }
  return worst;
}

test(`Σ pattern·V = z over ${SETS} option sets`, { timeout: 600_000 }, async () => {
  const wrong: string[] = [];
  let [compared, refused, declined] = [0, 0, 0];
  for (let seed = 0; seed < SETS; seed++) {
    const set = optionSet(seed, runtime);
    const bytes = await assemble(encodeModel(set.model), nothing);
    let plain: Tensors;
    try {
      const session = await runtime.InferenceSession.create(bytes, {
        logSeverityLevel: 4,
        intraOpNumThreads: 1,
      });
      plain = (await session.run(set.feeds as never)) as never;
    } catch {
      declined++;
      continue;
    }
    const file = await openModel(bytes);
    const recognition = recognise(file.model, { source: file.source });
    expect(recognition.sites, set.name).toHaveLength(1);
    const points = locatePoints(recognition);
    const taps = points.filter(
      ({ kind, source }) => /hook_(pattern|v|z)$/.test(kind) && source.from !== 'nowhere',
    );
    if (!taps.some(({ kind }) => kind === 'hook_pattern')) {
      refused++;
      expect(
        recognition.refused.some(({ code }) => code === 'SITE_LACKS'),
        set.name,
      ).toBe(true);
      continue;
    }
    await using session = await createSession(file, recognition, { taps }, { runtime, weights: 'copy' });
    const read: Record<string, Tensors[string]> = {};
    session.listen((values) => {
      for (const [name, tensor] of values) read[name] = tensor;
    });
    const outputs = (await session.run(set.feeds)) as unknown as Tensors;
    expect(outputs.z!.data, set.name).toEqual(plain.z!.data);
    const off = deviations(set, { ...outputs, ...read });
    compared++;
    if (off.z > 2e-3 || off.above > 1e-5) wrong.push(`${seed}: ${set.name}: z ${off.z}, sum ${off.above}`);
  }
  expect(wrong).toEqual([]);
  expect(compared).toBeGreaterThan(SETS / 2);
  process.stderr.write(
    `option sets: ${compared} compared, ${refused} refused by attune, ${declined} by ONNX Runtime\n`,
  );
});
