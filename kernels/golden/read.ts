/**
 * Golden files: float64 vectors of one method each, in three layouts (testbed/golden/README.md). Any file of a known
 * family is read, whatever its shapes; a malformed one is refused with the place named.
 */
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import { imbalancedCase, varCase, vhrCase } from './attention-families.ts';
import {
  recycledAttention,
  retrievalHeads,
  sinkMetric,
  streamingllm,
  tempscale,
} from './context-families.ts';
import { actCase, pineCase, zeroTuningCase } from './language-families.ts';

/** Families whose cases are text or decoding, not attention: carried along, checked elsewhere (eval/). */
const other = z.looseObject({
  params: z.looseObject({}),
  inputs: z.looseObject({}),
  expected: z.looseObject({}),
});

const LISTED = { act: actCase, zerotuning: zeroTuningCase, pine: pineCase } as const;
const NAMED = {
  var: varCase,
  vhr: vhrCase,
  imbalanced: imbalancedCase,
  opera: other,
  chair: other,
  pope: other,
} as const;
const WHOLE = {
  streamingllm,
  recycled_attention: recycledAttention,
  tempscale,
  retrieval_heads: retrievalHeads,
  sink_metric: sinkMetric,
} as const;

type Cases = {
  [F in keyof typeof LISTED]: z.output<(typeof LISTED)[F]>;
} & { [F in keyof typeof NAMED]: z.output<(typeof NAMED)[F]> } & {
  [F in keyof typeof WHOLE]: z.output<(typeof WHOLE)[F]>[number];
};

export type Family = keyof Cases;
export const FAMILIES = Object.keys({ ...LISTED, ...NAMED, ...WHOLE }) as Family[];

export interface Tolerance {
  readonly float64: number;
  readonly float32: number;
  readonly float16: number;
}

/** One case: `content` as its family's schema says. */
export type GoldenCase<F extends Family = Family> = F extends Family
  ? { readonly family: F; readonly id: string; readonly tolerance: Tolerance; readonly content: Cases[F] }
  : never;

/** What the README of the vectors states where a file says nothing. float16 is the bound of issue 5. */
const DEFAULT: Tolerance = { float64: 1e-8, float32: 1e-5, float16: 2e-3 };

const tolerances = z.looseObject({
  float64: z.number().optional(),
  float32: z.number().optional(),
  float16: z.number().optional(),
});
const meta = z.looseObject({
  kind: z.literal('meta'),
  method: z.string(),
  suggested_tolerance: tolerances.optional(),
});
const identified = z.looseObject({ id: z.string() });
const named = z.looseObject({ name: z.string(), method: z.string() });
const whole = z.looseObject({ method: z.string(), tolerance: tolerances.optional() });

/**
 * @param text the JSON document @param at file name for messages
 * @throws AttuneError GOLDEN_MALFORMED (not JSON, no known layout, a case that does not fit its family's schema),
 *   GOLDEN_FAMILY_UNKNOWN
 */
export function readGolden(text: string, at: string): GoldenCase[] {
  const document = parseJson(text, at);
  if (!Array.isArray(document)) return readWhole(document, at);
  const header = meta.safeParse(document[0]);
  return header.success ? readListed(header.data, document.slice(1), at) : readNamed(document, at);
}

function readListed(header: z.output<typeof meta>, items: readonly unknown[], at: string): GoldenCase[] {
  const family = familyOf(header.method, LISTED, at);
  const tolerance = widest(header.suggested_tolerance);
  return items.map((item, i) => {
    const { id } = parse(identified, item, `${at}, case ${i}`);
    return { family, id, tolerance, content: parse(LISTED[family], item, `${at}, ${id}`) } as GoldenCase;
  });
}

function readNamed(items: readonly unknown[], at: string): GoldenCase[] {
  return items.map((item, i) => {
    const { name, method } = parse(named, item, `${at}, case ${i}`);
    const family = familyOf(method, NAMED, at);
    const content = parse(NAMED[family] as z.ZodType, item, `${at}, ${name}`);
    return { family, id: name, tolerance: DEFAULT, content } as GoldenCase;
  });
}

function readWhole(document: unknown, at: string): GoldenCase[] {
  const header = parse(whole, document, at);
  const family = familyOf(header.method.replaceAll('-', '_'), WHOLE, at);
  const tolerance = widest(header.tolerance);
  const cases = parse(WHOLE[family] as z.ZodType<{ id: string }[]>, document, at);
  return cases.map((content) => ({ family, id: content.id, tolerance, content }) as GoldenCase);
}

function widest(stated: z.output<typeof tolerances> | undefined): Tolerance {
  return {
    float64: Math.max(DEFAULT.float64, stated?.float64 ?? 0),
    float32: Math.max(DEFAULT.float32, stated?.float32 ?? 0),
    float16: Math.max(DEFAULT.float16, stated?.float16 ?? 0),
  };
}

function familyOf<T extends object>(method: string, layout: T, at: string): keyof T {
  if (method in layout) return method as keyof T;
  throw new AttuneError('GOLDEN_FAMILY_UNKNOWN', {
    at,
    found: `method '${method}'`,
    expected: `one of ${Object.keys(layout).join(', ')} in this layout`,
  });
}

function parse<S extends z.ZodType>(schema: S, value: unknown, at: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = deepest(result.error.issues);
  throw new AttuneError('GOLDEN_MALFORMED', {
    at: issue.path.length > 0 ? `${at}, ${issue.path.join('.')}` : at,
    found: issue.message,
    expected: 'the layout described in testbed/golden/README.md',
    cause: result.error,
  });
}

interface Place {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** Of a union's branches, the one that got furthest says what is wrong. */
function deepest(issues: readonly z.core.$ZodIssue[]): Place {
  const places = issues.map((issue): Place => {
    if (issue.code !== 'invalid_union' || issue.errors.length === 0) return issue;
    const branch = issue.errors.reduce((best, next) => (next.length < best.length ? next : best));
    const inner = deepest(branch);
    return { path: [...issue.path, ...inner.path], message: inner.message };
  });
  return places.reduce((best, next) => (next.path.length > best.path.length ? next : best));
}

function parseJson(text: string, at: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AttuneError('GOLDEN_MALFORMED', { at, found: 'text that is not JSON', cause });
  }
}
