/** The normalised value of a hook point, emitting what it takes to get there. */
import { AttuneError } from '../../errors.ts';
import type { Emit } from '../../onnx/emitter.ts';
import { DataType, intAttribute } from '../../onnx/index.ts';
import { type HookPoint, POINT_AXES } from '../../sites/points/index.ts';
import type { Site } from '../../sites/site.ts';
import {
  fusedInputs,
  fusedPattern,
  fusedProjection,
  fusedScores,
  groupQueryRotated,
} from './fused-scores.ts';
import { type HeadShape, toBHST, toBSHD } from './layout.ts';

/** Values already derived beside a fused operator, so that scores and pattern share their work. */
export type Derived = Map<string, string>;

/**
 * @returns a value with the axes of POINT_AXES[point.kind]
 * @throws AttuneError POINT_UNAVAILABLE with the reason, POINT_NOT_BUILT, LAYOUT_AMBIGUOUS
 */
export function readPoint(e: Emit, point: HookPoint, derived: Derived): string {
  const { source, site, kind } = point;
  if (source.from === 'nowhere') {
    throw new AttuneError('POINT_UNAVAILABLE', {
      at: point.name,
      found: source.reason,
      hint: '`attune inspect --points` lists what can be read.',
    });
  }
  if (source.from === 'unnamed-sum') {
    const name = source.enable.node.outputs[source.enable.output];
    if (!name)
      throw new AttuneError('POINT_UNAVAILABLE', { at: point.name, found: 'the sum was not enabled' });
    return name;
  }
  if (POINT_AXES[kind] === 'BSM' && source.from === 'value') {
    return source.plus === undefined
      ? source.place.value
      : e.op('Add', [source.place.value, source.plus], 'with_bias');
  }
  if (!site) throw new AttuneError('POINT_UNAVAILABLE', { at: point.name, found: 'no attention site' });
  const memo = (key: string, make: () => string) => {
    const id = `${site.index}:${key}`;
    const existing = derived.get(id);
    if (existing !== undefined) return existing;
    const made = make();
    derived.set(id, made);
    return made;
  };
  switch (kind) {
    case 'hook_q':
    case 'hook_k':
    case 'hook_v': {
      if (source.from === 'beside')
        return memo(kind, () => fusedProjection(e, site, kind.at(-1) as 'q' | 'k' | 'v'));
      return toBSHD(e, source.place, headShape(site, kind));
    }
    case 'hook_rot_q':
    case 'hook_rot_k': {
      if (source.from === 'value') return toBSHD(e, source.place, headShape(site, kind));
      return memo(kind, () => groupQueryRotated(e, site, kind === 'hook_rot_q' ? 'q' : 'k'));
    }
    case 'hook_attn_scores':
      if (source.from === 'value') return maskToInfinity(e, toBHST(e, source.place, site.numHeads));
      return maskToInfinity(
        e,
        memo('scores', () => fusedScores(e, site, fusedInputs(e, site))),
      );
    case 'hook_pattern': {
      if (source.from === 'value') return toBHST(e, source.place, site.numHeads);
      return memo('pattern', () => {
        const inputs = fusedInputs(e, site);
        const scores = memo('scores', () => fusedScores(e, site, inputs));
        return fusedPattern(e, scores, inputs.headSink);
      });
    }
    case 'hook_z': {
      if (source.from === 'value') return toBSHD(e, source.place, headShape(site, kind));
      throw new AttuneError('POINT_UNAVAILABLE', { at: point.name, found: 'no value that carries z' });
    }
    case 'hook_result':
      return headResult(e, site, readPoint(e, { ...point, kind: 'hook_z', source: zSource(site) }, derived));
    default:
      throw new AttuneError('POINT_UNAVAILABLE', { at: point.name, found: `kind ${kind}` });
  }
}

function zSource(site: Site): HookPoint['source'] {
  const place = site.z ?? site.zFlat;
  return place ? { from: 'value', place } : { from: 'nowhere', reason: 'no value that carries z' };
}

/** Heads, head size and a batch reference for the value at a point. */
export function headShape(site: Site, kind: HookPoint['kind']): HeadShape {
  const own = kind === 'hook_k' || kind === 'hook_rot_k' || kind === 'hook_v';
  const batchOf = site.q.heads?.layout === 'BHSD' ? site.q.heads.value : undefined;
  return {
    heads: own ? site.kvHeads : site.numHeads,
    dim: kind === 'hook_v' || kind === 'hook_z' ? site.valueDim : site.headDim,
    batchOf,
  };
}

/** Fillers in the wild reach from -10000 to -inf; no real score comes near half of the smallest. */
export const MASKED_BELOW = -5000;

/** In float32. */
function maskToInfinity(e: Emit, scores: string): string {
  const float = e.cast(scores, DataType.FLOAT);
  const masked = e.op('Less', [float, e.scalar(MASKED_BELOW)], 'masked');
  return e.op('Where', [masked, e.scalar(Number.NEGATIVE_INFINITY), float], 'scores');
}

/** hook_result: z·W_O head by head, [B,S,H,M]. The output projection's bias belongs to no head. */
function headResult(e: Emit, site: Site, z: string): string {
  const projection = site.outProjection!;
  const transposed = projection.opType === 'Gemm' && intAttribute(projection, 'transB', 0) === 1;
  const weight = transposed ? e.transpose(projection.inputs[1]!, [1, 0]) : projection.inputs[1]!;
  const perHead = e.reshape(weight, [site.numHeads, site.valueDim, -1]);
  const result = e.op('MatMul', [e.transpose(z, [0, 2, 1, 3]), perHead], 'result');
  return e.transpose(result, [0, 2, 1, 3]);
}
