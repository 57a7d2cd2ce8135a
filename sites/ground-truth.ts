/**
 * Scoring recognition against sites.json, an independent ground truth for exporter-made graphs that lies beside
 * the repository. Test support: compares what the truth names, field by field.
 */
import type { Recognition, Site, Stages } from './index.ts';
import { plain } from './paths.ts';
import { mainScope, type Scope, scopes } from './scope.ts';

/** The parts of an entry that are compared; the truth holds more. */
export interface Truth {
  readonly expect: 'sites' | 'refuse' | 'none';
  readonly sites: readonly TrueSite[];
  readonly refuse: readonly {
    readonly level: 'must' | 'may';
    readonly what: string;
    readonly reason: string;
  }[];
}

type TrueStages = { readonly [stage: string]: string | number | null } | null;

interface TrueSite {
  readonly index: number;
  readonly layer: number;
  readonly scope: string;
  readonly form: string;
  readonly anchor: { readonly output?: string; readonly node_index: number };
  readonly attention: 'self' | 'cross';
  readonly causal: boolean | 'data' | null;
  readonly num_heads: number;
  readonly kv_heads: number;
  readonly head_dim: number;
  readonly v_head_dim?: number;
  readonly scale?: { readonly value: number | null };
  readonly q: TrueStages;
  readonly k: TrueStages;
  readonly v: TrueStages;
  readonly rotary?: 'yes' | 'no';
  readonly scores_raw?: string | null;
  readonly scores?: string | null;
  readonly pattern?: string | null;
  readonly pattern_operand?: string | null;
  readonly z?: string | null;
  readonly z_flat?: string | null;
  readonly out?: string | null;
  readonly o_proj?: { readonly output: string } | null;
  readonly masks?: readonly { readonly node?: string }[];
  readonly past?: {
    readonly k_input?: string;
    readonly v_input?: string;
    readonly packed_input?: string;
    readonly k?: string;
  };
  readonly present?: { readonly k?: string; readonly v?: string; readonly packed?: string };
}

export interface Score {
  readonly found: number;
  readonly expected: number;
  /** Sites found that are in the truth, by anchor output. */
  readonly matched: number;
  readonly compared: number;
  /** 'file: site 3: k.final: found …, expected …' */
  readonly wrong: readonly string[];
}

export function score(file: string, truth: Truth, found: Recognition): Score {
  const wrong: string[] = [];
  const all = [...scopes(mainScope(found.model))];
  let matched = 0;
  let compared = 0;
  const left = new Set(found.sites);
  for (const expected of truth.sites) {
    const scopeOf = (site: Site) => all.find(({ path }) => samePath(path, site.scope)) ?? all[0]!;
    const site = [...left].find((candidate) => sameAnchor(scopeOf(candidate), candidate, expected));
    if (!site) {
      wrong.push(
        `${file}: site ${expected.index} (${expected.form}, ${expected.anchor.output}) was not found`,
      );
      continue;
    }
    left.delete(site);
    matched++;
    const scope = scopeOf(site);
    for (const [what, is, should] of comparisons(site, expected)) {
      compared++;
      if (!equal(scope, is, should)) {
        wrong.push(
          `${file}: site ${expected.index}: ${what}: found ${String(is)}, expected ${String(should)}`,
        );
      }
    }
  }
  for (const site of left) wrong.push(`${file}: site at ${site.anchor.name} is not in the truth`);
  return { found: found.sites.length, expected: truth.sites.length, matched, compared, wrong };
}

function samePath(a: Scope['path'], b: Site['scope']): boolean {
  return (
    a.length === b.length &&
    a.every((step, i) => step.node === b[i]!.node && step.attribute === b[i]!.attribute)
  );
}

/** The truth names the value the anchor yields; expanded functions hand it on through known branches. */
function sameAnchor(scope: Scope, site: Site, expected: TrueSite): boolean {
  const output = expected.anchor.output ?? expected.pattern ?? expected.z_flat ?? expected.z;
  return (
    output != null &&
    site.anchor.outputs.some((name) => name !== '' && plain(scope, output) === plain(scope, name))
  );
}

type Comparison = readonly [what: string, is: unknown, should: unknown];

function comparisons(site: Site, truth: TrueSite): Comparison[] {
  const list: Comparison[] = [
    ['form', site.form, truth.form],
    ['attention', site.attention, truth.attention],
    ['causal', site.causal, truth.causal],
    ['layer', site.layer, truth.layer],
    ['numHeads', site.numHeads, truth.num_heads],
    ['kvHeads', site.kvHeads, truth.kv_heads],
    ['headDim', site.headDim, truth.head_dim],
    ['rotary', site.rotary === undefined ? 'no' : 'yes', truth.rotary ?? 'no'],
    ['scale', site.scale, truth.scale?.value ?? undefined],
  ];
  if (truth.v_head_dim !== undefined) list.push(['valueDim', site.valueDim, truth.v_head_dim]);
  for (const role of ['q', 'k', 'v'] as const) list.push(...stageComparisons(role, site[role], truth[role]));
  const places = {
    scoresRaw: truth.scores_raw,
    scores: truth.scores,
    pattern: truth.pattern,
    patternOperand: truth.pattern_operand,
    z: truth.z,
    zFlat: truth.z_flat,
  };
  for (const [what, value] of Object.entries(places)) {
    if (value != null) list.push([what, site[what as keyof typeof places]?.value, value]);
  }
  if (truth.out != null) list.push(['out', site.out, truth.out]);
  if (truth.o_proj === null) list.push(['outProjection', site.outProjection?.name, undefined]);
  if (truth.masks)
    list.push(['masks', site.masks.filter(({ kind }) => kind !== 'operator').length, truth.masks.length]);
  const past = truth.past?.packed_input ?? truth.past?.k_input ?? truth.past?.k;
  if (past !== undefined) list.push(['past.k', site.past?.k, past]);
  const present = truth.present?.packed ?? truth.present?.k;
  if (present !== undefined) list.push(['present.k', site.present?.k, present]);
  return list;
}

/** Names of stages in the truth, and in a site. */
const STAGES: Record<string, keyof Stages> = {
  proj: 'proj',
  heads: 'heads',
  rotated: 'rotated',
  with_past: 'withPast',
  repeated: 'repeated',
  final: 'final',
  operand: 'operand',
};

function stageComparisons(role: string, stages: Stages, truth: TrueStages): Comparison[] {
  const list: Comparison[] = [];
  for (const [name, stage] of Object.entries(STAGES)) {
    const value = truth?.[name];
    const found = stages[stage];
    if (typeof value !== 'string' || typeof found === 'string') continue;
    list.push([
      `${role}.${stage}`,
      truth?.layout === undefined ? found?.value : stages.operand?.value,
      value,
    ]);
    const layout = truth?.[`${name}_layout`];
    if (typeof layout === 'string')
      list.push([`${role}.${stage} layout`, found?.layout, layout.replace('T', 'S')]);
  }
  if (typeof truth?.packed === 'string') list.push([`${role}.packed`, stages.packed, truth.packed]);
  return list;
}

function equal(scope: Scope, is: unknown, should: unknown): boolean {
  if (typeof is === 'number' && typeof should === 'number')
    return Math.abs(is - should) <= 1e-3 * Math.abs(should);
  if (is === should) return true;
  // A branch of known condition hands a value on under a second name (expanded functions).
  return (
    typeof is === 'string' && typeof should === 'string' && aliased(scope, is) === aliased(scope, should)
  );
}

function aliased(scope: Scope, value: string): string {
  let at = value;
  for (let next = scope.alias(at); next !== undefined; next = scope.alias(at)) at = next;
  return at;
}
