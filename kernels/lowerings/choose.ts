/**
 * Which lowering a site takes: of those that support its edits, the one measured cheapest for them on its execution provider
 * (kernels/costs). The compiler takes this answer and `attune inspect` prints it.
 */
import { AttuneError } from '../../errors.ts';
import type { Site } from '../../sites/site.ts';
import { COSTS, type CostTable, ratiosOf, workOf } from '../costs/costs.ts';
import type { Edit } from '../plan.ts';
import type { CompanionName, Lowering, LoweringName, Target } from './lowering.ts';
import { COMPANIONS, REGISTRY } from './registry.ts';

/** The lowering of a site, and why. */
export interface Choice {
  /** The one it gets. */
  readonly lowering: LoweringName;
  /** A clause for people: why this one. */
  readonly why: string;
  /** What takes some of the calls in its stead. */
  readonly besides: readonly CompanionName[];
  /** Mean ratio to the untouched operator by lowering, where measured: decoding, and prompts. */
  readonly measured: readonly {
    readonly lowering: LoweringName;
    readonly decode: number;
    readonly prefill: number;
  }[];
  /** Those that cannot, and why. */
  readonly ruledOut: readonly { readonly lowering: LoweringName; readonly reason: string }[];
}

/**
 * What 'expand' is charged beyond the table, where the operator could stay. One site measured alone flatters it: decoding a
 * whole model under ZeroTuning with it took 1.04 to 1.06 of the untouched one, where the table says 0.7 to 1.0; the operator
 * kept 0.98 to 1.01.
 */
const EXPAND_SURCHARGE = 1.5;

/**
 * The lowering that a site takes for its edits.
 *
 * @param edits of the site @param forced overrides the table
 * @throws AttuneError LOWERING_UNAVAILABLE for a forced lowering that the site cannot have, and for edits that none can do
 */
export function chooseLowering(
  site: Site,
  edits: readonly Edit[],
  target: Target,
  forced?: LoweringName | undefined,
  costs: CostTable = COSTS,
): Choice {
  const able: Lowering[] = [];
  const ruledOut: { lowering: LoweringName; reason: string }[] = [];
  for (const one of REGISTRY) {
    const support = one.supports(site, edits, target);
    if (support === true) able.push(one);
    else ruledOut.push({ lowering: one.name, reason: support });
  }
  if (able.length === 0 || (forced !== undefined && !able.some(({ name }) => name === forced))) {
    throw unavailable(site, edits, target, forced, able, ruledOut);
  }
  const { ep } = target;
  const work = workOf(edits);
  const measured = able.flatMap(({ name }) => {
    const ratios = ratiosOf(costs, { ep, work, lowering: name });
    return ratios ? [{ lowering: name, ...ratios }] : [];
  });
  const besides = COMPANIONS.flatMap((one) => (one.supports(site, edits, target) === true ? [one.name] : []));
  const known = (ratio: number) => (Number.isNaN(ratio) ? 1 : ratio);
  const cost = ({ lowering, decode, prefill }: Choice['measured'][number]) =>
    (lowering === 'expand' ? EXPAND_SURCHARGE : 1) * known(decode) * known(prefill);
  const best = [...measured].sort((a, b) => cost(a) - cost(b))[0];
  const answer = (lowering: LoweringName, why: string): Choice => ({
    lowering,
    why,
    besides,
    measured,
    ruledOut,
  });
  if (forced !== undefined) return answer(forced, 'as asked for');
  if (able.length === 1) return answer(able[0]!.name, 'the only one that can');
  return best
    ? answer(best.lowering, `measured cheapest on ${ep}`)
    : answer(able[0]!.name, `nothing was measured on ${ep}`);
}

/** Edits by the attention they are of; what is done to the residual stream alone is no matter of one. */
export function editsBySite(edits: readonly Edit[]): ReadonlyMap<Site, readonly Edit[]> {
  const bySite = new Map<Site, Edit[]>();
  for (const edit of edits) {
    if (edit.kind === 'after') continue;
    const site = edit.kind === 'write' ? edit.point.site : edit.site;
    if (site) bySite.set(site, [...(bySite.get(site) ?? []), edit]);
  }
  return bySite;
}

function unavailable(
  { layer, anchor }: Site,
  edits: readonly Edit[],
  { ep }: Target,
  forced: LoweringName | undefined,
  able: readonly Lowering[],
  ruledOut: Choice['ruledOut'],
): AttuneError {
  const reasons = ruledOut.filter(({ lowering }) => forced === undefined || lowering === forced);
  const kinds = [...new Set(edits.map(({ kind }) => kind))].join(', ');
  return new AttuneError('LOWERING_UNAVAILABLE', {
    at: `layer ${layer}, ${anchor.name || anchor.opType}`,
    found:
      reasons.map(({ lowering, reason }) => `'${lowering}' ${reason}`).join('; ') ||
      `'${forced}', which this runtime does not have`,
    expected:
      able.length > 0
        ? `${able.map(({ name }) => name).join(' or ')} for ${kinds} on ${ep}`
        : `attention that ${kinds} can be done in`,
    hint:
      able.length > 0
        ? 'Leave `lowering` out and the one measured cheapest is taken.'
        : '`attune inspect` shows what each method takes; an export with GroupQueryAttention, or an unfused one, will do.',
  });
}
