/**
 * Where each hook point lives in a recognised graph: the value that carries it, the fused operator it has to be
 * derived from, or the reason why it is not there.
 */
import type { Place, Recognition, ResidualLayer, Site } from '../sites/site.ts';
import { ATTENTION_POINTS, type PointKind, pointName, RESIDUAL_POINTS } from './names.ts';

export type Source =
  /** A value of the graph. */
  | { readonly from: 'value'; readonly place: Place }
  /** A residual sum that a Skip*LayerNormalization computes without naming it. */
  | { readonly from: 'unnamed-sum'; readonly enable: NonNullable<ResidualLayer['enable']>[number] }
  /** Computed beside the fused operator from its inputs, which leaves the operator and its output alone. */
  | { readonly from: 'beside' }
  | { readonly from: 'nowhere'; readonly reason: string };

export interface HookPoint {
  readonly name: string;
  readonly kind: PointKind;
  readonly tower: string;
  readonly layer: number;
  readonly site?: Site;
  readonly source: Source;
}

/** All hook points in order of layer, the residual ones of a block around those of its attention. */
export function locatePoints(recognition: Recognition): HookPoint[] {
  const points: HookPoint[] = [];
  const blocks = new Map<string, { tower: string; layer: number; residual?: ResidualLayer; sites: Site[] }>();
  const block = (tower: string, layer: number) => {
    const key = `${tower} ${layer}`;
    const existing = blocks.get(key);
    if (existing) return existing;
    const created = { tower, layer, sites: [] as Site[] } as {
      tower: string;
      layer: number;
      residual?: ResidualLayer;
      sites: Site[];
    };
    blocks.set(key, created);
    return created;
  };
  for (const residual of recognition.residual) block(residual.tower, residual.layer).residual = residual;
  for (const site of recognition.sites) block(site.tower, site.layer).sites.push(site);
  for (const { tower, layer, residual, sites } of blocks.values()) {
    const sources = RESIDUAL_POINTS.map((kind) => ({ kind, source: residualSource(kind, residual) }));
    const residualPoint = ({ kind, source }: (typeof sources)[number]): HookPoint => {
      return { name: pointName(kind, { tower, layer }), kind, tower, layer, source };
    };
    points.push(...sources.slice(0, 1).map(residualPoint));
    for (const site of sites) {
      for (const kind of ATTENTION_POINTS) {
        const name = pointName(kind, { tower, layer, attention: site.attention });
        points.push({ name, kind, tower, layer, site, source: attentionSource(kind, site) });
      }
    }
    points.push(...sources.slice(1).map(residualPoint));
  }
  return points;
}

function residualSource(kind: (typeof RESIDUAL_POINTS)[number], residual: ResidualLayer | undefined): Source {
  if (!residual) return nowhere('the residual stream of this layer was not recognised');
  const which = { hook_resid_pre: 'pre', hook_resid_mid: 'mid', hook_resid_post: 'post' } as const;
  const value =
    kind === 'hook_attn_out'
      ? residual.attnOut
      : kind === 'hook_mlp_out'
        ? residual.mlpOut
        : residual[which[kind]];
  if (value !== undefined) return { from: 'value', place: { value, layout: 'BS(HD)' } };
  if (kind !== 'hook_attn_out' && kind !== 'hook_mlp_out') {
    const enable = residual.enable?.find((candidate) => candidate.which === which[kind]);
    if (enable) return { from: 'unnamed-sum', enable };
  }
  if (kind === 'hook_resid_mid') return nowhere('attention and MLP add to the stream together in this block');
  return nowhere('no value of the graph carries it');
}

/** Forms whose q, k, mask and softmax live inside one operator. */
export function isFused(site: Site): boolean {
  return !site.form.startsWith('P6');
}

function attentionSource(kind: (typeof ATTENTION_POINTS)[number], site: Site): Source {
  if (site.scope.some((step) => step.attribute === 'body')) {
    return nowhere('the site is inside a Loop or Scan body, whose values differ from step to step');
  }
  switch (kind) {
    case 'hook_q':
      return stage(site.q.heads ?? site.q.proj, site);
    case 'hook_k':
      return stage(site.k.heads ?? site.k.proj, site);
    case 'hook_v':
      return stage(site.v.heads ?? site.v.proj, site);
    case 'hook_rot_q':
      return site.rotary ? stage(site.q.rotated, site) : nowhere('the model has no rotary embedding here');
    case 'hook_rot_k':
      return site.rotary ? stage(site.k.rotated, site) : nowhere('the model has no rotary embedding here');
    case 'hook_attn_scores':
      return stage(site.scores, site);
    case 'hook_pattern':
      return stage(site.pattern, site);
    case 'hook_z':
      return stage(site.z ?? site.zFlat, site);
    case 'hook_result':
      return resultSource(site);
  }
}

function stage(place: Place | undefined, site: Site): Source {
  if (place) return { from: 'value', place };
  return isFused(site) ? { from: 'beside' } : nowhere('no value of the graph carries it');
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
