/**
 * Where each hook point lives in a recognised graph: the value that carries it, the fused operator it has to be
 * derived from, or the reason why it is not there.
 */
import type { Capability, Place, Recognition, ResidualLayer, ScopeStep, Site, Stages } from '../site.ts';
import { ATTENTION_POINTS, type PointKind, pointName, type RESIDUAL_POINTS } from './names.ts';

/** Where a hook point lives. */
export type Source =
  /** A value of the graph. */
  | {
      readonly from: 'value';
      readonly place: Place;
      /** A bias that belongs to the point and is added later in the graph. */
      readonly plus?: string;
    }
  /** A residual sum that a Skip*LayerNormalization computes without naming it. */
  | { readonly from: 'unnamed-sum'; readonly enable: NonNullable<ResidualLayer['enable']>[number] }
  /** Computed beside the fused operator from its inputs, which leaves the operator and its output alone. */
  | { readonly from: 'beside' }
  | { readonly from: 'nowhere'; readonly reason: string };

/** A place in a model where values can be read and mostly be replaced. */
export interface HookPoint {
  /** Such as blocks.3.attn.hook_pattern; the names of TransformerLens. */
  readonly name: string;
  /** The last part of the name. */
  readonly kind: PointKind;
  /** Which part of the model: '' where there is one, else decoder, encoder, vision, … */
  readonly tower: string;
  /** From 0. */
  readonly layer: number;
  /** The attention it belongs to; none on the residual stream. */
  readonly site?: Site;
  /** What carries it, or why nothing does. */
  readonly source: Source;
  /** Sub-graph the point lives in; empty for the main graph. */
  readonly scope: readonly ScopeStep[];
  /** The same point in the other branches of an If: merged decoders hold the model twice. */
  readonly twins?: readonly HookPoint[];
}

interface Block {
  readonly tower: string;
  readonly layer: number;
  readonly scope: readonly ScopeStep[];
  residual?: ResidualLayer;
  readonly sites: Site[];
}

/** All hook points in order of execution. */
export function locatePoints(recognition: Pick<Recognition, 'sites' | 'residual'>): HookPoint[] {
  const blocks = new Map<string, Block>();
  const block = (tower: string, layer: number, scope: readonly ScopeStep[]): Block => {
    const key = [tower, layer, ...scope.map(({ position, attribute }) => `${position}.${attribute}`)].join(
      ' ',
    );
    const existing = blocks.get(key);
    if (existing) return existing;
    const created: Block = { tower, layer, scope, sites: [] };
    blocks.set(key, created);
    return created;
  };
  for (const residual of recognition.residual) {
    block(residual.tower, residual.layer, residual.scope ?? []).residual = residual;
  }
  for (const site of recognition.sites) block(site.tower, site.layer, site.scope).sites.push(site);
  return joinTwins([...blocks.values()].flatMap(blockPoints));
}

/** In order of execution: stream, self-attention, what it adds, cross-attention, what it adds, MLP, stream. */
function blockPoints({ tower, layer, scope, residual, sites }: Block): HookPoint[] {
  const stream = (...kinds: (typeof RESIDUAL_POINTS)[number][]) =>
    kinds.map((kind): HookPoint => {
      const source = residualSource(kind, residual);
      return { name: pointName(kind, { tower, layer }), kind, tower, layer, source, scope };
    });
  const attention = (which: Site['attention']) =>
    sites
      .filter((site) => site.attention === which)
      .flatMap((site) =>
        ATTENTION_POINTS.map((kind): HookPoint => {
          const name = pointName(kind, { tower, layer, attention: which });
          return { name, kind, tower, layer, site, source: attentionSource(kind, site), scope };
        }),
      );
  const cross = attention('cross');
  return [
    ...stream('hook_resid_pre'),
    ...attention('self'),
    ...stream('hook_attn_out', 'hook_resid_mid'),
    ...cross,
    ...(cross.length > 0 ? stream('hook_cross_attn_out', 'hook_resid_mid_cross') : []),
    ...stream('hook_mlp_out', 'hook_resid_post'),
  ];
}

/** Points of one name become one; the first that can be read leads. */
function joinTwins(points: readonly HookPoint[]): HookPoint[] {
  const byName = new Map<string, HookPoint[]>();
  for (const point of points) {
    const same = byName.get(point.name);
    if (same) same.push(point);
    else byName.set(point.name, [point]);
  }
  return [...byName.values()].map((same) => {
    const readable = same.filter(({ source }) => source.from !== 'nowhere');
    const [lead, ...twins] = readable.length > 0 ? readable : same;
    return twins.length > 0 && readable.length > 0 ? { ...lead!, twins } : lead!;
  });
}

const RESIDUAL_FIELD = {
  hook_resid_pre: 'pre',
  hook_attn_out: 'attnOut',
  hook_resid_mid: 'mid',
  hook_cross_attn_out: 'crossAttnOut',
  hook_resid_mid_cross: 'midCross',
  hook_mlp_out: 'mlpOut',
  hook_resid_post: 'post',
} as const satisfies Record<(typeof RESIDUAL_POINTS)[number], keyof ResidualLayer>;

function residualSource(kind: (typeof RESIDUAL_POINTS)[number], residual: ResidualLayer | undefined): Source {
  if (!residual) return nowhere('the residual stream of this layer was not recognised');
  const field = RESIDUAL_FIELD[kind];
  const value = residual[field];
  if (value !== undefined) {
    const place = { value, layout: 'BS(HD)' } as const;
    const plus =
      field === 'attnOut' || field === 'crossAttnOut' || field === 'mlpOut'
        ? residual.biases?.[field]
        : undefined;
    return plus === undefined ? { from: 'value', place } : { from: 'value', place, plus };
  }
  const enable = residual.enable?.find(({ which }) => which === field);
  if (enable) return { from: 'unnamed-sum', enable };
  if (kind === 'hook_resid_mid') return nowhere('attention and MLP add to the stream together in this block');
  return nowhere('no value of the graph carries it');
}

function attentionSource(kind: (typeof ATTENTION_POINTS)[number], site: Site): Source {
  if (site.scope.some((step) => step.attribute === 'body')) {
    return nowhere('the site is inside a Loop or Scan body, whose values differ from step to step');
  }
  const needed = NEEDED[kind];
  const lacking = needed && site.lacks?.[needed];
  if (lacking !== undefined) return withoutOption(kind, site, lacking);
  switch (kind) {
    case 'hook_q':
      return projection(site.q, site);
    case 'hook_k':
      return projection(site.k, site);
    case 'hook_v':
      return projection(site.v, site);
    case 'hook_rot_q':
      return rotated(site.q.rotated, site);
    case 'hook_rot_k':
      return rotated(site.k.rotated, site);
    case 'hook_attn_scores':
      return stage(site.scores, site);
    case 'hook_pattern':
      return stage(site.patternOperand ?? site.pattern, site);
    case 'hook_z':
      return stage(site.z ?? site.zFlat, site);
    case 'hook_result':
      return resultSource(site);
  }
}

/** What reading a point that is not in the graph takes. */
const NEEDED: { readonly [kind in PointKind]?: Capability } = {
  hook_q: 'projections',
  hook_k: 'projections',
  hook_v: 'projections',
  hook_rot_q: 'rotation',
  hook_rot_k: 'rotation',
  hook_attn_scores: 'scores',
  hook_pattern: 'pattern',
};

/** Values that stand in the graph are what they are; what would be computed from the operator's inputs is not to be had. */
function withoutOption(kind: PointKind, site: Site, reason: string): Source {
  const rotated = kind === 'hook_rot_q' ? site.q.rotated : kind === 'hook_rot_k' ? site.k.rotated : undefined;
  const place = kind === 'hook_pattern' ? site.pattern : kind === 'hook_attn_scores' ? site.scores : rotated;
  return place ? { from: 'value', place } : nowhere(reason);
}

/** q, k or v after its bias, which a fused operator may add inside. */
function projection({ heads, proj, packed }: Stages, site: Site): Source {
  const place = heads ?? proj;
  if (!place && packed === undefined && !site.projectsInside)
    return nowhere('no value of the graph carries it');
  if (!heads && site.biasInside !== undefined) return { from: 'beside' };
  return stage(place, site);
}

function rotated(place: Place | undefined, site: Site): Source {
  if (!site.rotary) return nowhere('the model has no rotary embedding here');
  if (place) return { from: 'value', place };
  if (site.operator === 'com.microsoft.GroupQueryAttention') return { from: 'beside' };
  return nowhere('the rotation happens inside the operator');
}

function stage(place: Place | undefined, site: Site): Source {
  if (place) return { from: 'value', place };
  return site.fused ? { from: 'beside' } : nowhere('no value of the graph carries it');
}

/** z·W_O per head needs the projection's weight as a plain matrix. */
function resultSource(site: Site): Source {
  const projection = site.outProjection;
  if (!projection) return nowhere('the site has no output projection');
  if (projection.opType !== 'MatMul' && projection.opType !== 'Gemm') {
    return nowhere(
      `the output projection is quantised (${projection.opType}); only MatMul and Gemm can be split by head`,
    );
  }
  return { from: 'beside' };
}

function nowhere(reason: string): Source {
  return { from: 'nowhere', reason };
}
