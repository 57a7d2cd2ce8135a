/**
 * P6: attention written out as product, Softmax, product. The form is named by where the scale sits: on the scores
 * (eager), roots on q and k (sdpa), on q alone (qscaled), inside FusedMatMul (fusedmatmul).
 */
import { intAttribute, type Node } from '../onnx/index.ts';
import type { Axes } from './axes.ts';
import { layoutOf } from './axes.ts';
import { pastPair, presentPair } from './cache.ts';
import { causality } from './causality.ts';
import { isNumber, product as times } from './dims.ts';
import { type HeadPath, headPath, headsBeforeRepeat, sizeOf } from './heads.ts';
import { plain } from './paths.ts';
import { miss, type RuleContext, type SiteDraft, type SiteRule } from './rule.ts';
import type { Scope } from './scope.ts';
import { type ScorePath, type ScoreProduct, scorePath } from './score-path.ts';
import type { Form, Place } from './site.ts';
import { stagesOf } from './stages.ts';
import { outputPath, type ValueProduct, valueProducts } from './value-path.ts';

export const decomposed: SiteRule = {
  name: 'decomposed',
  anchors: ['Softmax'],

  match(node, { scope, position }) {
    const [input = '', pattern = ''] = [node.inputs[0], node.outputs[0]];
    const path = scorePath(scope, input);
    const values = valueProducts(scope, pattern);
    if (!path && values.length === 0) return undefined;
    if (!path) return miss(node, 'no product of two computed tensors (queries and keys) leads to it');
    if (values.length === 0) return miss(node, 'its result is not multiplied with values from the right');
    const axis = softmaxAxis(scope, node);
    if (!axis)
      return miss(
        node,
        `normalises axis ${intAttribute(node, 'axis', defaultAxis(scope))}, not over keys (the last)`,
      );
    return describe({ scope, position }, node, path, chosen(scope, values));
  },
};

function defaultAxis(scope: Scope): number {
  return scope.file.opset < 13 ? 1 : -1;
}

/**
 * Whether the Softmax runs over the last axis. Below opset 13 it flattens to two dimensions at its axis, which is
 * the same only when that is the last one (or all that follow have size 1).
 */
function softmaxAxis(scope: Scope, node: Node): boolean {
  const shape = scope.shape(node.inputs[0] ?? '');
  const axis = intAttribute(node, 'axis', defaultAxis(scope));
  if (!shape) return axis === -1 || axis === 3;
  return (axis < 0 ? axis + shape.length : axis) === shape.length - 1;
}

/** Of several products (backward graphs have more) the one that reaches an output projection. */
function chosen(scope: Scope, values: readonly ValueProduct[]): ValueProduct {
  if (values.length === 1) return values[0]!;
  const live = values.find(
    ({ product }) => outputPath(scope, product.node.outputs[0]!).projection !== undefined,
  );
  return live ?? values[0]!;
}

function describe(
  { scope, position }: RuleContext,
  node: Node,
  path: ScorePath,
  value: ValueProduct,
): SiteDraft | ReturnType<typeof miss> {
  const { product } = path;
  const scoreAxes = scoreAxesOf(scope, product);
  const q = headPath(scope, product.left, scoreAxes.left, 'q');
  const k = headPath(scope, product.right, scoreAxes.right, 'k');
  const valueAxes = valueAxesOf(scope, value.product);
  const v = headPath(scope, value.product.right, valueAxes.right, 'v');
  const sizes = headSizes(scope, node, product, q, k, v);
  if (typeof sizes === 'string') return miss(node, sizes);
  const z = value.product.node.outputs[0]!;
  const output = outputPath(scope, z);
  const [qStages, kStages, vStages] = [stagesOf(q), stagesOf(k), stagesOf(v)];
  const cacheAxes =
    k.steps.find((step) => step.made === 'cache')?.axes ??
    k.steps.find((step) => step.value === kStages.final?.value)?.axes;
  const { causal, causalBy, window } = causality(scope, path.masks, scope.shape(node.inputs[0]!));
  const raw = product.node.outputs[0]!;
  return {
    form: formOf(path, q, k),
    operator: undefined,
    fused: false,
    packedQkv: false,
    projectsInside: false,
    rotatesInside: false,
    biasInput: undefined,
    attention: attentionKind(q, k),
    causal,
    causalBy,
    anchor: node,
    anchorPosition: position,
    nodes: inOrder(scope, [
      product.node,
      node,
      value.product.node,
      ...path.nodes,
      ...value.nodes,
      ...output.nodes,
      ...q.nodes,
      ...k.nodes,
      ...v.nodes,
    ]),
    ...sizes,
    scale: combined(path.scale, product.alpha, q.scale, k.scale),
    softcap: path.softcap,
    window,
    headSink: path.sink === undefined ? undefined : plain(scope, path.sink),
    elemType: scope.elemType(z) ?? scope.elemType(node.outputs[0]!),
    rotary: q.rotary ?? k.rotary,
    q: qStages,
    k: kStages,
    v: vStages,
    scoresRaw: scorePlace(scope, raw, scoreAxes.out),
    scores: scorePlace(scope, path.unsunk ?? node.inputs[0]!, scoreAxes.out),
    pattern: scorePlace(scope, node.outputs[0]!, scoreAxes.out),
    patternOperand: scorePlace(
      scope,
      value.product.left === z ? node.outputs[0]! : value.product.left,
      scoreAxes.out,
    ),
    z: place(z, valueAxes.out),
    zFlat: flatPlace(scope, output.zFlat),
    outProjection: output.projection,
    out: output.out,
    masks: path.masks,
    past: pastPair(scope, k.past, v.past, cacheAxes),
    present: presentPair(scope, kStages.final?.value, vStages.final?.value, cacheAxes),
    absent: absentPoints({ q: qStages.final, k: kStages.final, v: vStages.final }),
    sources: { q: q.projection?.input, k: k.projection?.input },
  };
}

interface ProductAxes {
  readonly left: Axes | undefined;
  readonly right: Axes | undefined;
  readonly out: Axes | undefined;
}

/** Axes of queries and keys at the score product. */
function scoreAxesOf(scope: Scope, product: ScoreProduct): ProductAxes {
  if (product.einsum) return einsumAxes(product.einsum, ['S', 'T']);
  const rank = scope.rankOf(product.left) ?? scope.rankOf(product.right) ?? 4;
  const batch = batchAxes(rank);
  if (!batch) return { left: undefined, right: undefined, out: undefined };
  return {
    left: product.transposedLeft ? [...batch, 'D', 'S'] : [...batch, 'S', 'D'],
    right: product.transposedRight ? [...batch, 'S', 'D'] : [...batch, 'D', 'S'],
    out: [...batch, 'S', 'T'],
  };
}

function valueAxesOf(scope: Scope, product: ScoreProduct): ProductAxes {
  if (product.einsum) return einsumAxes(product.einsum, ['S', 'D']);
  const batch = batchAxes(scope.rankOf(product.left) ?? scope.rankOf(product.right) ?? 4);
  if (!batch) return { left: undefined, right: undefined, out: undefined };
  return {
    left: [...batch, 'S', 'T'],
    right: product.transposedRight ? [...batch, 'D', 'S'] : [...batch, 'S', 'D'],
    out: [...batch, 'S', 'D'],
  };
}

function batchAxes(rank: number): Axes | undefined {
  return rank === 4 ? ['B', 'H'] : rank === 3 ? ['BH'] : undefined;
}

/** Letters of an equation by role: kept on both sides B and H, contracted, and free on one side. */
function einsumAxes(
  [left, right, out]: readonly [string, string, string],
  free: readonly [string, string],
): ProductAxes {
  const roles = new Map<string, string>();
  const shared = [...out].filter((letter) => left.includes(letter) && right.includes(letter));
  shared.forEach((letter, i) => {
    roles.set(letter, shared.length === 2 ? 'BH'[i]! : 'BH');
  });
  for (const letter of out) {
    if (!roles.has(letter)) roles.set(letter, left.includes(letter) ? free[0] : free[1]);
  }
  for (const letter of left) if (!roles.has(letter)) roles.set(letter, free[1] === 'T' ? 'D' : 'S');
  const axes = (letters: string) =>
    [...letters].map((letter) =>
      roles.get(letter) === 'T' && letters !== out ? 'S' : (roles.get(letter) ?? ''),
    );
  return { left: axes(left), right: axes(right), out: axes(out) };
}

interface Sizes {
  readonly numHeads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly valueDim: number;
}

/** Heads and channels from whatever step shows them; a sentence when the file does not tell. */
function headSizes(
  scope: Scope,
  node: Node,
  product: ScoreProduct,
  q: HeadPath,
  k: HeadPath,
  v: HeadPath,
): Sizes | string {
  const shape = scope.shape(node.inputs[0]!);
  const headsAxis = shape?.length === 4 ? shape[1] : undefined;
  const numHeads =
    (isNumber(headsAxis) ? headsAxis : undefined) ??
    sizeOf(scope, q.steps, 'H') ??
    singleHead(scope, product, q) ??
    scope.file.configuredHeads;
  if (numHeads === undefined) return 'the number of heads cannot be told from the shapes';
  const headDim =
    sizeOf(scope, q.steps, 'D') ?? sizeOf(scope, k.steps, 'D') ?? fromMerged(scope, q, numHeads);
  if (headDim === undefined) return 'the head size cannot be told from the shapes';
  const kvHeads = headsBeforeRepeat(scope, k) ?? sizeOf(scope, k.steps, 'H') ?? numHeads;
  const valueDim = sizeOf(scope, v.steps, 'D') ?? headDim;
  return { numHeads, kvHeads, headDim, valueDim };
}

/** Three axes from end to end: the batch axis never held heads. */
function singleHead(scope: Scope, product: ScoreProduct, q: HeadPath): number | undefined {
  const last = q.steps.at(-1);
  if (scope.rankOf(product.left) !== 3 || last?.axes?.length !== 3 || last.axes[0] !== 'BH') return undefined;
  return 1;
}

function fromMerged(scope: Scope, path: HeadPath, numHeads: number): number | undefined {
  const width = sizeOf(scope, path.steps, 'HD');
  return width !== undefined && width % numHeads === 0 ? width / numHeads : undefined;
}

function formOf(path: ScorePath, q: HeadPath, k: HeadPath): Form {
  if (path.product.alpha !== 1) return 'P6-fusedmatmul';
  if (path.scaled) return 'P6-eager';
  if (q.scaled && k.scaled) return 'P6-sdpa';
  return q.scaled ? 'P6-qscaled' : 'P6-eager';
}

function combined(...factors: readonly (number | undefined)[]): number | undefined {
  return factors.some((factor) => factor === undefined) ? undefined : (times(factors as number[]) as number);
}

/** Self unless keys come from elsewhere; index.ts refines this with the sources. */
function attentionKind(q: HeadPath, k: HeadPath): 'self' | 'cross' {
  const cached = k.past !== undefined;
  return q.projection && !k.projection && !cached ? 'cross' : 'self';
}

function place(value: string, axes: Axes | undefined): Place | undefined {
  const layout = layoutOf(axes);
  return layout && { value, layout };
}

/** Scores change between three and four axes on the way; the rank tells which. */
function scorePlace(scope: Scope, value: string, axes: Axes | undefined): Place | undefined {
  const rank = scope.rankOf(value) ?? axes?.length;
  return rank === 4 ? { value, layout: 'BHST' } : rank === 3 ? { value, layout: '(BH)ST' } : undefined;
}

function flatPlace(scope: Scope, value: string | undefined): Place | undefined {
  const rank = value === undefined ? undefined : scope.rankOf(value);
  if (value === undefined) return undefined;
  return rank === 2
    ? { value, layout: '(BS)(HD)' }
    : rank === 3 || rank === undefined
      ? { value, layout: 'BS(HD)' }
      : undefined;
}

function absentPoints(
  places: { readonly [point in 'q' | 'k' | 'v']: Place | undefined },
): SiteDraft['absent'] {
  return (['q', 'k', 'v'] as const).filter((point) => places[point] === undefined);
}

function inOrder(scope: Scope, nodes: readonly Node[]): readonly Node[] {
  const place = (node: Node) => scope.place(node.outputs.find((name) => name !== '') ?? '');
  return [...new Set(nodes)].sort((a, b) => place(a) - place(b));
}
