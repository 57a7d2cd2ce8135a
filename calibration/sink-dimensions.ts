/**
 * What VAR needs to know of a language model: the hidden dimensions with massive activations, and the φ from which a token is a
 * sink. No answers are looked at, and nothing is tuned to a score.
 *
 * Dimensions: in the residual stream entering the middle half of the layers, |x_d| / rms of the first token, meant over prompts
 * and layers. The leading one to three that stand apart from the rest are taken. Massive: the first of them is 10 times the
 * median dimension or more (after arXiv 2402.17762, made independent of scale).
 *
 * τ: the paper's 20 where tokens beside the first reach it. φ never exceeds √D, so small models need another: the widest gap among
 * the sorted φ of all tokens that leaves at most a quarter of them above; where there is no gap, the 95th percentile of the
 * picture tokens, which is a choice and no finding, and is reported as one.
 */
import { AttuneError } from '../errors.ts';
import type { AttunedModel } from '../hooks/model/index.ts';

/** The residual stream of one prompt of one row, layer by layer. */
export interface PromptStreams {
  /** [T, M] entering each layer. */
  readonly layers: readonly Float32Array[];
  /** M, the width of the residual stream. */
  readonly width: number;
  /** 1 at picture tokens, [T]. */
  readonly picture: ArrayLike<number>;
}

/** The sink dimensions of a model, and what they were found by. */
export interface SinkReport {
  /** For visualRedistribution, from 0, the leading one first. */
  readonly dimensions: readonly number[];
  /** The φ from which a token is a sink. */
  readonly tau: number;
  /** Where τ comes from. */
  readonly tauFrom: 'paper' | 'gap' | 'quantile';
  /** Whether the model has massive activations at all; without, VAR does not apply as published. */
  readonly massive: boolean;
  /** √M, which φ cannot exceed. */
  readonly bound: number;
  /** Larger over smaller φ at the widest gap. */
  readonly gap: number;
  /** The ten most extreme dimensions: score, and in how many of the layers each is among those chosen. */
  readonly leading: readonly {
    readonly dimension: number;
    readonly score: number;
    readonly layers: number;
  }[];
  /** Median score of all dimensions. */
  readonly median: number;
  /** φ of the first token, of further text, and of pictures. */
  readonly phi: { readonly first: number; readonly text: Quantiles; readonly picture: Quantiles };
  /** Share of tokens that are sinks under τ. */
  readonly sinks: { readonly text: number; readonly picture: number };
  /** Layers that were looked at. */
  readonly layers: readonly number[];
  /** How many prompts. */
  readonly prompts: number;
}

/** Of φ over tokens. */
export interface Quantiles {
  /** Half of the tokens have less. */
  readonly median: number;
  /** 95 % of the tokens have less. */
  readonly p95: number;
  /** The largest. */
  readonly most: number;
}

const PAPER_TAU = 20;
const MASSIVE = 10;
/** A dimension stands apart where the next is less than this share of it. */
const APART = 2 / 3;
const MOST_CHOSEN = 3;
const MOST_SINKS = 0.25;
const A_GAP = 1.5;
const EPSILON = 1e-6;

/**
 * The streams of a prompt, from a run.
 * @param inputs of one row: input_ids, attention_mask, pixel_values, …
 */
export async function promptStreams(model: AttunedModel, inputs: object): Promise<PromptStreams> {
  const { cache } = await model.runWithCache(inputs, '**.hook_resid_pre');
  const tower = model.attune.facts.decoder[0]!.tower;
  const prefix = tower ? `${tower}.` : '';
  const layers = model.attune.facts.decoder.map(
    ({ layer }) => cache.get(`${prefix}blocks.${layer}.hook_resid_pre`)!,
  );
  const [, T, width] = layers[0]!.dims as [number, number, number];
  const picture = new Uint8Array(T);
  for (const { from, to } of model.attune.request.imageSpans) picture.fill(1, from, to);
  return { layers: layers.map(({ data }) => data), width, picture };
}

/**
 * Dimensions of massive activations and the threshold τ of VAR, from the streams of a few prompts with pictures.
 *
 * @example
 * ```ts
 * const { dimensions, tau } = findSinks([await promptStreams(vlm, imageInputs)]);
 * vlm.use([visualRedistribution({ dimensions: [...dimensions], tau })]);
 * ```
 *
 * @throws AttuneError CALIBRATION_TOO_FEW without prompts, or without any picture
 */
export function findSinks(prompts: readonly PromptStreams[]): SinkReport {
  const pictured = prompts.filter(({ picture }) => Array.from(picture).includes(1));
  if (pictured.length === 0) {
    throw new AttuneError('CALIBRATION_TOO_FEW', {
      at: 'var',
      found: `${prompts.length} prompts, none with a picture`,
      expected: 'prompts with pictures, ten or so',
    });
  }
  const { width } = prompts[0]!;
  const L = prompts[0]!.layers.length;
  const layers = Array.from({ length: L }, (_, layer) => layer).filter(
    (layer) => layer >= Math.floor(L / 4) && layer <= Math.ceil((3 * L) / 4),
  );
  const perLayer = layers.map((layer) => firstTokenScores(prompts, layer, width));
  const scores = Float64Array.from({ length: width }, (_, d) => mean(perLayer.map((row) => row[d]!)));
  const order = Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]! || a - b);
  const count = standingApart(order.map((d) => scores[d]!));
  const dimensions = order.slice(0, count).sort((a, b) => a - b);
  const middle = quantile([...scores].sort(ascending), 0.5);

  const text: number[] = [];
  const picture: number[] = [];
  const first: number[] = [];
  for (const prompt of pictured) {
    for (const layer of layers) {
      phiOf(prompt, layer, dimensions).forEach((phi, t) => {
        if (t === 0) first.push(phi);
        (prompt.picture[t] ? picture : text).push(phi);
      });
    }
  }
  text.sort(ascending);
  picture.sort(ascending);
  const all = [...text, ...picture].sort(ascending);
  const gap = widestGap(all);
  // The paper's threshold means something where it separates: some tokens beside the first above, most below.
  const reached = shareAbove(all, PAPER_TAU);
  const paper = shareAbove(picture, PAPER_TAU) > 0 && reached <= MOST_SINKS;
  const [tau, tauFrom] = paper
    ? ([PAPER_TAU, 'paper'] as const)
    : gap.ratio >= A_GAP
      ? ([gap.at, 'gap'] as const)
      : ([quantile(picture, 0.95), 'quantile'] as const);
  return {
    dimensions,
    tau: Number(tau.toPrecision(3)),
    tauFrom,
    massive: scores[order[0]!]! >= MASSIVE * middle,
    bound: Math.sqrt(width),
    gap: gap.ratio,
    leading: order.slice(0, 10).map((dimension) => ({
      dimension,
      score: scores[dimension]!,
      layers: perLayer.filter((row) => rankOf(row, dimension) < count).length,
    })),
    median: middle,
    phi: { first: mean(first), text: quantiles(text), picture: quantiles(picture) },
    sinks: { text: shareAbove(text, tau), picture: shareAbove(picture, tau) },
    layers,
    prompts: pictured.length,
  };
}

/** |x_d| / rms of the first token, meant over prompts: [M]. */
function firstTokenScores(prompts: readonly PromptStreams[], layer: number, width: number): Float64Array {
  const total = new Float64Array(width);
  for (const { layers } of prompts) {
    const x = layers[layer]!.subarray(0, width);
    const rms = rootMeanSquare(x);
    for (let d = 0; d < width; d++) total[d]! += Math.abs(x[d]!) / rms / prompts.length;
  }
  return total;
}

/** φ of every token, as VAR has it. */
function phiOf({ layers, width }: PromptStreams, layer: number, dimensions: readonly number[]): number[] {
  const data = layers[layer]!;
  return Array.from({ length: data.length / width }, (_, t) => {
    const x = data.subarray(t * width, (t + 1) * width);
    return Math.max(...dimensions.map((d) => Math.abs(x[d]!))) / rootMeanSquare(x);
  });
}

function rootMeanSquare(x: Float32Array): number {
  return Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length + EPSILON);
}

/** How many of the leading scores, in descending order, stand apart: up to the sharpest of the first drops. */
function standingApart(scores: readonly number[]): number {
  let count = 1;
  let sharpest = APART;
  for (let k = 1; k <= MOST_CHOSEN; k++) {
    const drop = scores[k]! / scores[k - 1]!;
    if (drop < sharpest) {
      sharpest = drop;
      count = k;
    }
  }
  return count;
}

function widestGap(sorted: readonly number[]): { at: number; ratio: number } {
  let best = { at: Number.POSITIVE_INFINITY, ratio: 1 };
  const from = Math.floor(sorted.length * (1 - MOST_SINKS));
  for (let i = Math.max(1, from); i < sorted.length; i++) {
    const ratio = sorted[i]! / sorted[i - 1]!;
    if (ratio > best.ratio) best = { at: Math.sqrt(sorted[i]! * sorted[i - 1]!), ratio };
  }
  return best;
}

const ascending = (a: number, b: number) => a - b;

function rankOf(row: Float64Array, dimension: number): number {
  return row.reduce((rank, score) => rank + Number(score > row[dimension]!), 0);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function shareAbove(sorted: readonly number[], tau: number): number {
  return sorted.filter((phi) => phi >= tau).length / sorted.length;
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
}

function quantiles(sorted: readonly number[]): Quantiles {
  return { median: quantile(sorted, 0.5), p95: quantile(sorted, 0.95), most: sorted.at(-1)! };
}
