/**
 * How much a picture moves the heads, token by token (He et al., arXiv 2412.13949): VHD_h = ‖A_h − A'_h‖, the outputs of a head
 * before W_O with the picture and without; T-VHD of a token sums, layer by layer, the k largest. Low values go along
 * with words the picture has nothing to do with. The paper's k is not known.
 *
 * Both streams are run once over the whole text, as generation with a cache would have computed it. Nothing is edited.
 */
import { AttuneError } from '../errors.ts';
import type { AttunedModel, ContrastContext, ModelInputs, ModelTensor } from '../hooks/model/index.ts';
import { textOnly } from '../interventions/text-only.ts';

/** How much the picture moved each head, for each token that was written. */
export interface VisionDivergence {
  /** L, layers of the decoder. */
  readonly layers: number;
  /** H, query heads of each. */
  readonly heads: number;
  /** VHD after the prompt and after each further token but the last: one row of [L·H] for each token that was written. */
  readonly vhd: readonly Float32Array[];
  /** T-VHD of each token that was written. */
  readonly tVhd: readonly number[];
}

type Callable = AttunedModel & { readonly config: { image_token_id?: number; image_token_index?: number } };

/**
 * How much a picture moves the heads, token by token, VHD_h = ‖A_h − A'_h‖: outputs of a head before W_O with the
 * picture and without.
 * Source: He et al., arXiv 2412.13949.
 *
 * @example const { tVhd } = await visionDivergence(vlm, imageInputs, answer); // one number for each token of the
 *   answer
 *
 * @param inputs of one row: input_ids, attention_mask, pixel_values
 * @param tokens what was written after it
 * @param k heads of a layer that count; default half of them, as many as VHR reinforces
 * @throws AttuneError IMAGE_SPANS_UNKNOWN for a prompt without a picture
 */
export async function visionDivergence(
  model: Callable,
  inputs: ModelInputs,
  tokens: readonly number[],
  k?: number,
): Promise<VisionDivergence> {
  const ids = inputs.input_ids as ModelTensor;
  const Tensor = ids.constructor as new (type: string, data: unknown, dims: readonly number[]) => ModelTensor;
  const context: ContrastContext = {
    tensor: (type, data, dims) => new Tensor(type, data, dims),
    imageToken: model.config.image_token_index ?? model.config.image_token_id,
  };
  // The last token is predicted by the one before it: its own row says nothing of it.
  const written = BigInt64Array.from(tokens.slice(0, -1), BigInt);
  const all = BigInt64Array.from([...(ids.data as BigInt64Array), ...written]);
  const whole = {
    ...inputs,
    input_ids: context.tensor('int64', all, [1, all.length]),
    attention_mask: context.tensor('int64', new BigInt64Array(all.length).fill(1n), [1, all.length]),
  };
  const without = textOnly(whole, context);
  if (!without) {
    throw new AttuneError('IMAGE_SPANS_UNKNOWN', {
      at: 'visionDivergence',
      found: 'a prompt without image tokens',
      expected: 'one with a picture',
    });
  }
  const [own, reference] = [await outputsOf(model, whole), await outputsOf(model, without)];
  const { decoder } = model.attune.facts;
  const [L, H] = [decoder.length, decoder[0]!.numHeads];
  const chosen = k ?? Math.max(1, Math.floor(H / 2));
  const vhd = tokens.map((_, t) => {
    const fromEnd = tokens.length - t; // Positions meet from the end.
    const row = new Float32Array(L * H);
    for (let i = 0; i < L * H; i++) {
      row[i] = distance(
        rowOf(own[Math.floor(i / H)]!, fromEnd, i % H),
        rowOf(reference[Math.floor(i / H)]!, fromEnd, i % H),
      );
    }
    return row;
  });
  const tVhd = vhd.map((row) => {
    let total = 0;
    for (let layer = 0; layer < L; layer++) {
      const sorted = row
        .slice(layer * H, (layer + 1) * H)
        .sort()
        .reverse();
      total += sorted.subarray(0, chosen).reduce((sum, value) => sum + value, 0);
    }
    return total;
  });
  return { layers: L, heads: H, vhd, tVhd };
}

interface Outputs {
  /** [1, S, H, D] */
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

async function outputsOf(model: AttunedModel, inputs: object): Promise<Outputs[]> {
  const points = model.attune.facts.decoder.map(
    (site) => model.attune.facts.points.find((point) => point.kind === 'hook_z' && point.site === site)!.name,
  );
  const { cache } = await model.using([], () => model.runWithCache(inputs, points));
  return points.map((name) => cache.get(name)!);
}

/** One head at a position counted from the end, 1 the last. */
function rowOf({ dims, data }: Outputs, fromEnd: number, head: number): Float32Array {
  const [, S, H, D] = dims as [number, number, number, number];
  const at = ((S - fromEnd) * H + head) * D;
  return data.subarray(at, at + D);
}

function distance(a: Float32Array, b: Float32Array): number {
  return Math.sqrt(a.reduce((sum, x, i) => sum + (x - b[i]!) ** 2, 0));
}
