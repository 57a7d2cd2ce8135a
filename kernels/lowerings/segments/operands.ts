/** What a site computes attention over documents from: queries, keys and values before rotation, and its cache. */
import { AttuneError } from '../../../errors.ts';
import type { Emit } from '../../../onnx/emitter.ts';
import type { Place, Site } from '../../../sites/site.ts';
import type { SegmentedSite, SegmentValue } from './site.ts';

export interface Cache {
  /** Keys (and values, where the operator joins them) of earlier calls. */
  readonly k: string;
  readonly v: string | undefined;
  readonly presentK: string;
  readonly presentV: string | undefined;
}

/** undefined for a graph without a cache. */
export function cacheOf(site: Site): Cache | undefined {
  const { past, k, anchor } = site;
  if (!past) return undefined;
  if (past.layout !== 'BHPD') throw lacks(site, `a cache laid out as ${past.layout}`);
  if (k.withPast) {
    if (k.withPast.layout !== 'BHSD') throw lacks(site, `keys laid out as ${k.withPast.layout}`);
    return { k: past.k, v: undefined, presentK: k.withPast.value, presentV: undefined };
  }
  const [, presentK, presentV] = anchor.outputs;
  if (!presentK || !presentV) throw lacks(site, 'a cache it does not give back');
  return { k: past.k, v: past.v, presentK, presentV };
}

/** q, k and v of this call, before rotation. */
export function operandsOf(emit: Emit, site: Site): Pick<SegmentedSite, 'q' | 'k' | 'v'> {
  const { anchor, numHeads: H, kvHeads: K, headDim: D } = site;
  if (site.packedQkv) {
    const [q, k, v] = emit.many(3, 'Split', [anchor.inputs[0]!, emit.ints(H * D, K * D, K * D)], { axis: 2 });
    const flat = (value: string): SegmentValue => ({ value, layout: 'BS(ND)' });
    return { q: flat(q!), k: flat(k!), v: flat(v!) };
  }
  const inside = site.rotatesInside;
  const of = (role: 'q' | 'k') => segmentValue(site, inside ? site[role].operand : site[role].unrotated);
  const joinsCache = site.past && !site.k.withPast;
  const v = joinsCache ? site.v.operand : (site.v.withPast ?? site.v.final);
  return { q: of('q'), k: of('k'), v: segmentValue(site, v) };
}

const LAYOUTS: Partial<Record<Place['layout'], SegmentValue['layout']>> = {
  'BS(HD)': 'BS(ND)',
  BSHD: 'BSND',
  BHSD: 'BNSD',
};

function segmentValue(site: Site, place: Place | undefined): SegmentValue {
  const layout = place && LAYOUTS[place.layout];
  if (place && layout) return { value: place.value, layout };
  throw lacks(site, place ? `queries or keys laid out as ${place.layout}` : 'no value before its rotation');
}

export function lacks(site: Site, found: string): AttuneError {
  return new AttuneError('LOWERING_LACKS_OPERATOR', {
    at: site.anchor.name || site.anchor.opType,
    found,
    expected: 'queries, keys and values by head, and a cache [B, K, P, D]',
    hint: 'An export with GroupQueryAttention, or an unfused one, will do.',
  });
}
