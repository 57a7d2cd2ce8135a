/**
 * Layers, towers and the residual stream around every site. TransformerLens's names: pre enters the layer, mid
 * follows self-attention, midCross follows cross-attention, post leaves the layer. In post-norm models (BERT) mid and
 * post are the sums before their norm, and pre is the norm's result that enters the next layer. Blocks that run
 * attention and MLP side by side (NeoX, GPT-J) have no mid.
 */
import type { Node } from '../onnx/index.ts';
import { normOf, SUM_OUTPUT, skipBias } from './norm.ts';
import { isOp, plain, unviewed } from './paths.ts';
import { behindElementwise, type ResidualSum, sumAfter, sumAfterSum, summands } from './residual-sum.ts';
import type { SiteDraft } from './rule.ts';
import type { Scope } from './scope.ts';
import type { ResidualLayer } from './site.ts';

type Which = 'pre' | 'mid' | 'midCross' | 'post';

export interface LayerDraft {
  tower: number;
  layer: number;
  sites: SiteDraft[];
  pre?: string | undefined;
  mid?: string | undefined;
  midCross?: string | undefined;
  post?: string | undefined;
  attnOut?: string | undefined;
  crossAttnOut?: string | undefined;
  mlpOut?: string | undefined;
  biases: { attnOut?: string; crossAttnOut?: string; mlpOut?: string };
  enable: { which: Which; node: Node; output: number }[];
}

/** A value of the stream, or the norm of one, and the layer it comes from. */
interface Origin {
  readonly layer: LayerDraft;
  /** Nothing but attention has been added in this layer so far. */
  open: boolean;
}

/** Layers of one scope, in order of execution. Every site is in exactly one. */
export function layersOf(scope: Scope, sites: readonly SiteDraft[]): LayerDraft[] {
  const sums = new Map(sites.map((site) => [site, attentionSum(scope, site)]));
  const attentionNodes = new Set([...sums.values()].map((sum) => sum?.node));
  const origins = new Map<string, Origin>();
  const layers: LayerDraft[] = [];
  let towers = 0;
  for (const site of sites) {
    const sum = sums.get(site);
    const stream = sum && streamOf(scope, site, sum);
    const origin = stream && originOf(scope, origins, stream.pre);
    const continues = origin?.open === true && site.attention === 'cross';
    const layer: LayerDraft = continues
      ? origin.layer
      : {
          tower: origin?.layer.tower ?? towers++,
          layer: origin ? origin.layer.layer + 1 : 0,
          sites: [],
          biases: {},
          enable: [],
        };
    if (!continues) layers.push(layer);
    layer.sites.push(site);
    if (!sum || !stream) continue;
    layer.pre ??= plain(scope, stream.pre);
    const own = addAttention(scope, layer, site, sum, stream, attentionNodes);
    for (const value of own.values) origins.set(value, { layer, open: own.open });
  }
  return layers;
}

function attentionSum(scope: Scope, site: SiteDraft): ResidualSum | undefined {
  const from = site.out ?? site.zFlat?.value ?? site.z?.value;
  return from === undefined ? undefined : sumAfter(scope, from);
}

interface Stream {
  readonly pre: string;
  /** The sum with the stream, when attention was first added to the MLP's result. */
  readonly joined?: { readonly sum: ResidualSum; readonly mlp: string } | undefined;
}

/** Which summand is the stream: the one q is computed from. */
function streamOf(scope: Scope, site: SiteDraft, sum: ResidualSum): Stream {
  const entering = enteringValues(scope, site);
  if (entering.size === 0 || entering.has(unviewed(scope, sum.stream))) return { pre: sum.stream };
  const total = sum.sum;
  const next = total === undefined ? undefined : sumAfter(scope, total);
  if (next && entering.has(unviewed(scope, next.stream))) {
    return { pre: next.stream, joined: { sum: next, mlp: sum.stream } };
  }
  return { pre: sum.stream };
}

/** What q is projected from, and what that is the norm of. */
function enteringValues(scope: Scope, site: SiteDraft): ReadonlySet<string> {
  const source = site.sources.q === undefined ? undefined : unviewed(scope, site.sources.q);
  if (source === undefined) return new Set();
  const norm = normOf(scope, source);
  const maker = scope.maker(source);
  const skipSum = maker && summands(scope, maker) ? maker.outputs[SUM_OUTPUT] : undefined;
  return new Set([
    source,
    ...(norm ? [unviewed(scope, norm.input)] : []),
    ...(skipSum ? [unviewed(scope, skipSum)] : []),
  ]);
}

function originOf(scope: Scope, origins: ReadonlyMap<string, Origin>, stream: string): Origin | undefined {
  const value = unviewed(scope, stream);
  const direct = origins.get(value);
  if (direct) return direct;
  const norm = normOf(scope, value);
  const normed = norm && origins.get(unviewed(scope, norm.input));
  if (normed) return normed;
  const behind = behindElementwise(scope, value, (at) => origins.has(at));
  return behind === undefined ? undefined : origins.get(behind);
}

/** Fill in what the attention adds, and the MLP that follows; yields the stream values the next layer may start from. */
function addAttention(
  scope: Scope,
  layer: LayerDraft,
  site: SiteDraft,
  sum: ResidualSum,
  { joined }: Stream,
  attentionNodes: ReadonlySet<Node | undefined>,
): { values: string[]; open: boolean } {
  const cross = site.attention === 'cross' && layer.sites.length > 1;
  const out = plain(scope, sum.added);
  layer[cross ? 'crossAttnOut' : 'attnOut'] = out;
  addBias(layer, cross ? 'crossAttnOut' : 'attnOut', sum);
  if (joined) {
    layer.mlpOut = plain(scope, joined.mlp);
    addBias(layer, 'mlpOut', joined.sum);
    return { values: setSum(scope, layer, 'post', joined.sum), open: false };
  }
  const beside = mlpBeside(scope, sum, layer.pre, attentionNodes);
  if (beside) {
    layer.mlpOut = plain(scope, beside.added);
    addBias(layer, 'mlpOut', beside);
    return { values: setSum(scope, layer, 'post', beside), open: false };
  }
  const values = setSum(scope, layer, cross ? 'midCross' : 'mid', sum);
  const mlp = mlpAfter(scope, sum, attentionNodes);
  if (!mlp) return { values, open: true };
  layer.mlpOut = plain(scope, mlp.added);
  addBias(layer, 'mlpOut', mlp);
  return { values: setSum(scope, layer, 'post', mlp), open: false };
}

/** stream + attention, then + MLP of the stream before attention: a parallel block in another order. */
function mlpBeside(
  scope: Scope,
  sum: ResidualSum,
  pre: string | undefined,
  attentionNodes: ReadonlySet<Node | undefined>,
): ResidualSum | undefined {
  if (sum.sum === undefined || sum.normalised !== undefined || pre === undefined) return undefined;
  const uses = scope.index.uses(sum.sum);
  const next = uses.length === 1 ? sumAfter(scope, sum.sum) : undefined;
  if (!next || attentionNodes.has(next.node) || next.added !== sum.sum || next.node !== uses[0]!.node)
    return undefined;
  return { ...next, added: next.stream, stream: next.added };
}

function mlpAfter(
  scope: Scope,
  sum: ResidualSum,
  attentionNodes: ReadonlySet<Node | undefined>,
): ResidualSum | undefined {
  const next = sumAfterSum(scope, sum);
  return next && attentionNodes.has(next.node) ? undefined : next;
}

/** Skip*LayerNormalization may add the bias of the projection that comes into it. */
function addBias(
  layer: LayerDraft,
  which: 'attnOut' | 'crossAttnOut' | 'mlpOut',
  { node }: ResidualSum,
): void {
  const bias = skipBias(node);
  if (bias !== undefined) layer.biases[which] = bias;
}

/** Record a sum; yields the values that stand for it further on. */
function setSum(
  scope: Scope,
  layer: LayerDraft,
  which: Which,
  { node, sum, normalised }: ResidualSum,
): string[] {
  if (sum === undefined) layer.enable.push({ which, node, output: SUM_OUTPUT });
  else if (which !== 'pre') layer[which] = threeAxes(scope, sum);
  return [sum, normalised].flatMap((value) =>
    value === undefined || value === '' ? [] : [unviewed(scope, value)],
  );
}

/** The stream with axes [B, S, X] where it is summed flattened (OPT) and only reshaped afterwards. */
function threeAxes(scope: Scope, value: string): string {
  if (scope.rankOf(value) !== 2) return value;
  const [use, ...more] = scope.index.uses(value);
  const reshaped = isOp(use?.node, 'Reshape') ? use.node.outputs[0] : undefined;
  return more.length === 0 && reshaped && scope.rankOf(reshaped) === 3 ? reshaped : value;
}

/** The public description of a layer. */
export function residualLayer(draft: LayerDraft, tower: string): ResidualLayer {
  const { layer, pre, mid, midCross, post, attnOut, crossAttnOut, mlpOut, biases, enable } = draft;
  const values = { pre, mid, midCross, post, attnOut, crossAttnOut, mlpOut };
  return { tower, layer, ...values, biases, ...(enable.length > 0 ? { enable } : {}) };
}
