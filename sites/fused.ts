/** What the fused attention operators have in common: q, k, v as inputs, one output, and a tail to the projection. */
import { type Node, qualifiedOp } from '../onnx/index.ts';
import { axesOf } from './axes.ts';
import { pastPair, presentPair } from './cache.ts';
import { headPath, headsBeforeRepeat } from './heads.ts';
import { optionsLack } from './options.ts';
import type { SiteDraft } from './rule.ts';
import type { Scope } from './scope.ts';
import type { AttentionOperator, Layout, Place, Stages } from './site.ts';
import { stagesOf } from './stages.ts';
import { outputPath } from './value-path.ts';

type Settled =
  | 'form'
  | 'biasInput'
  | 'numHeads'
  | 'kvHeads'
  | 'headDim'
  | 'valueDim'
  | 'scale'
  | 'softcap'
  | 'window'
  | 'headSink';

/** What the rule of an operator reads off its node. */
export interface FusedParts
  extends Partial<Pick<SiteDraft, 'packedQkv' | 'projectsInside'>>,
    Pick<
      SiteDraft,
      | Settled
      | 'rotary'
      | 'masks'
      | 'causal'
      | 'causalBy'
      | 'past'
      | 'present'
      | 'warnings'
      | 'biasInside'
      | 'lacks'
    > {
  /** Inputs of the operator; undefined where q, k and v do not exist apart. */
  readonly q: Place | undefined;
  readonly k: Place | undefined;
  readonly v: Place | undefined;
  /** The joint projection, or for operators with weights inside what is projected. */
  readonly packed: string | undefined;
  readonly zLayout: Layout;
  /** Undefined: decided by where q and k come from. */
  readonly attention: 'self' | 'cross' | undefined;
}

export function fusedSite(scope: Scope, node: Node, position: number, parts: FusedParts): SiteDraft {
  const path = (place: Place | undefined, role: 'q' | 'k' | 'v') =>
    place && headPath(scope, place.value, axesOf(place.layout), role);
  const paths = { q: path(parts.q, 'q'), k: path(parts.k, 'k'), v: path(parts.v, 'v') };
  const stages = (role: 'q' | 'k' | 'v'): Stages => {
    const found = paths[role] && stagesOf(paths[role]);
    const place = parts[role];
    if (!found || !place) return { packed: parts.packed };
    const separate = place.layout.includes('H') && !place.layout.includes('(HD)');
    // Where the operator splits heads itself, its input is both the projection and the operand.
    const entering =
      found.rotated ?? found.normed ?? (separate ? (found.heads ?? place) : (found.proj ?? place));
    // Straight from a graph input or an operator of unknown kind: that value is what the heads are split from.
    const given = paths[role]?.steps.length === 1 && found.heads === undefined && !separate;
    const proj = found.proj ?? (given ? place : undefined);
    return {
      ...found,
      proj,
      packed: found.packed ?? parts.packed,
      final: found.final ?? entering,
      operand: place,
    };
  };
  const [q, k, v] = [stages('q'), stages('k'), stages('v')];
  const cacheAxes = paths.k?.steps.find((step) => step.made === 'cache')?.axes;
  const z = node.outputs[0] ?? '';
  const output = outputPath(scope, z);
  const zPlace: Place = { value: z, layout: parts.zLayout };
  const merged = parts.zLayout === 'BS(HD)';
  const source = paths.q ? paths.q.projection?.input : undefined;
  const { zLayout: _, packed: __, ...settled } = parts;
  return {
    packedQkv: false,
    projectsInside: false,
    ...settled,
    operator: qualifiedOp(node) as AttentionOperator,
    fused: true,
    rotatesInside: parts.rotary?.by === 'operator',
    kvHeads: (paths.k && headsBeforeRepeat(scope, paths.k)) ?? parts.kvHeads,
    attention:
      parts.attention ??
      (paths.q?.projection && paths.k && !paths.k.projection && !parts.past ? 'cross' : 'self'),
    anchor: node,
    anchorPosition: position,
    nodes: [
      ...new Set([
        ...(paths.q?.nodes ?? []),
        ...(paths.k?.nodes ?? []),
        ...(paths.v?.nodes ?? []),
        node,
        ...output.nodes,
      ]),
    ],
    elemType: scope.elemType(z) ?? scope.elemType(node.inputs[0] ?? ''),
    rotary: parts.rotary ?? paths.q?.rotary ?? paths.k?.rotary,
    q,
    k,
    v,
    past: parts.past ?? pastPair(scope, paths.k?.past, paths.v?.past, cacheAxes),
    present: parts.present ?? presentPair(scope, k.withPast?.value, v.withPast?.value, cacheAxes),
    z: zPlace,
    zFlat: merged
      ? zPlace
      : output.zFlat === undefined
        ? undefined
        : { value: output.zFlat, layout: 'BS(HD)' },
    outProjection: output.projection,
    out: output.out,
    lacks: { ...optionsLack(scope, node), ...parts.lacks },
    absent: [...(parts.q ? [] : (['q', 'k', 'v'] as const)), 'scores', 'pattern'],
    sources: { q: source, k: paths.k?.projection?.input },
  };
}
