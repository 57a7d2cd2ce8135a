/**
 * What interventions do head by head: the parameters a specification gives to heads, and what the maps of heads look like
 * while it is in force. One number for each layer and head.
 */
import { Tensor } from '@huggingface/transformers';
import { columnMeans } from '../../calibration/statistics/sinks.ts';
import type { AttunedModel, Intervention, ModelFacts } from '../../hooks/model/index.ts';

export interface HeadMap {
  name: string;
  /** [layer][head] */
  rows: number[][];
  /** Of a parameter: the value that leaves a head alone. */
  neutral?: number;
}

/** Parameters that are not the same in all heads, by the name of their knob. */
export function parameterMaps(interventions: readonly Intervention[], facts: ModelFacts): HeadMap[] {
  const L = facts.decoder.length;
  return interventions.flatMap((one) => {
    const { knobs = [] } = one.kind.plan(facts, one.kind.variant?.(one));
    return Object.entries(one.kind.knobs(one, facts)).flatMap(([knob, { dims, data }]): HeadMap[] => {
      const heads = dims[2];
      if (dims.length !== 3 || dims[0] !== 1 || dims[1] !== L || heads === undefined) return [];
      const values = Array.from(data as Float32Array, Number);
      if (values.every((value) => value === values[0])) return [];
      const rows = facts.decoder.map(({ numHeads }, layer) =>
        Array.from({ length: numHeads }, (_, head) => values[layer * heads + (heads === 1 ? 0 : head)]!),
      );
      const neutral = knobs.find(({ name }) => name === knob)?.neutral.data[0];
      return [
        {
          name: knob.replace(/^attune\./, ''),
          rows,
          ...(neutral !== undefined && { neutral: Number(neutral) }),
        },
      ];
    });
  });
}

const PATTERN = /^blocks\.(\d+)\.attn\.hook_pattern$/;

/**
 * Of one prompt: each head's attention to the first token (α₀) and the mean entropy of its rows, in nats.
 * @param ids [S], S ≥ 2
 * @param more inputs beside the tokens, such as a picture's
 * @returns nothing for a model whose maps cannot be read
 */
export async function measuredMaps(
  model: Pick<AttunedModel, 'runWithCache' | 'attune'>,
  ids: readonly number[],
  more: Readonly<Record<string, unknown>> = {},
): Promise<HeadMap[]> {
  const layers = model.attune.hookNames.filter((name) => PATTERN.test(name));
  if (layers.length === 0) return [];
  const [sink, entropy]: [number[][], number[][]] = [[], []];
  const { cache } = await model.runWithCache({ ...inputsOf(ids), ...more }, layers);
  for (const [name, { dims, data }] of cache) {
    const layer = Number(PATTERN.exec(name)![1]);
    const [, H = 0, S = 0, T = 0] = dims;
    const maps = Array.from({ length: H }, (_, head) => data.subarray(head * S * T, (head + 1) * S * T));
    sink[layer] = maps.map((map) => columnMeans(map, T)[0]!);
    entropy[layer] = maps.map((map) => meanEntropy(map, T));
  }
  return [
    { name: 'attention to the first token', rows: sink },
    { name: 'entropy of rows (nats)', rows: entropy },
  ];
}

/**
 * Mean over rows of −Σ p ln p in nats, row 0 left out, which sees one key only. Over all keys of a row: under interventions
 * that let documents see each other, rows see later keys too.
 * @param map [T, T] row by row
 */
function meanEntropy(map: Float32Array, T: number): number {
  let sum = 0;
  for (const p of map.subarray(T)) if (p > 0) sum -= p * Math.log(p);
  return T > 1 ? sum / (T - 1) : 0;
}

function inputsOf(ids: readonly number[]): object {
  const shape = [1, ids.length];
  return {
    input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), shape),
    attention_mask: new Tensor('int64', new BigInt64Array(ids.length).fill(1n), shape),
  };
}

/** The mean of maps of the same names and shapes. */
export function meanMaps(all: readonly (readonly HeadMap[])[]): HeadMap[] {
  const [first = []] = all;
  return first.map(({ name, rows }, i) => ({
    name,
    rows: rows.map((row, layer) =>
      row.map((_, head) =>
        rounded(all.reduce((sum, maps) => sum + maps[i]!.rows[layer]![head]!, 0) / all.length),
      ),
    ),
  }));
}

/** Six places: what a report keeps does not hang on the last bit of a sum. */
const rounded = (value: number): number => Number(value.toPrecision(6));
