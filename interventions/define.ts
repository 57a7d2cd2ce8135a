/**
 * Making interventions: a zod schema for the parameters, an immutable specification with a content hash, and JSON in
 * both directions. The behaviour of a kind (knobs, edits) is declared beside its schema.
 */
import type { z } from 'zod';
import { AttuneError, nearest } from '../errors.ts';
import {
  type Intervention,
  type InterventionKind,
  kindOf,
  type ModelFacts,
  registerKind,
  STAGES,
  type Stage,
  type Variant,
} from '../hooks/model/index.ts';
import { sha256 } from '../onnx/sha256.ts';
import { specInvalid } from './parameters.ts';

/**
 * What defineIntervention makes a kind of: the parts of InterventionKind, over parameters that are typed by a schema.
 *
 * @typeParam S - schema of the parameters
 * @typeParam V - options that change the graph itself
 */
export interface Definition<S extends z.ZodType, V extends Variant = Variant>
  extends Omit<InterventionKind, 'knobs' | 'feed' | 'variant' | 'plan' | 'decoding' | 'run'> {
  /** Checks parameters and fills in defaults; .describe() of each says what it is. */
  readonly schema: S;
  /** Paper and equation. */
  readonly reference: string;
  /** Which of several graphs a specification needs; undefined asks for the usual one. */
  variant?(spec: z.output<S> | undefined): V;
  /** Knobs and edits for a model, the same for all parameters of one variant. */
  plan(model: ModelFacts, variant: V): ReturnType<InterventionKind['plan']>;
  /** Knob values of parameters. */
  knobs(spec: z.output<S>, model: ModelFacts): ReturnType<InterventionKind['knobs']>;
  /** Knob values that depend on the request: token ids, image spans. */
  feed?(
    spec: z.output<S>,
    ...rest: Rest<Parameters<NonNullable<InterventionKind['feed']>>>
  ): ReturnType<NonNullable<InterventionKind['feed']>>;
  /** What it does after the logits; undefined where these parameters do nothing there. */
  decoding?(spec: z.output<S>): ReturnType<NonNullable<InterventionKind['decoding']>>;
  /** Runs a call in a way of its own, such as with another pass before it. */
  run?(
    intervention: Intervention<z.output<S>>,
    ...rest: Rest<Parameters<NonNullable<InterventionKind['run']>>>
  ): ReturnType<NonNullable<InterventionKind['run']>>;
}

type Rest<T extends readonly unknown[]> = T extends readonly [unknown, ...infer R] ? R : never;

/**
 * Makes the interventions of one kind from parameters; also carries the kind itself. Calling it checks the parameters and throws
 * AttuneError SPEC_INVALID naming the one that is wrong.
 *
 * @typeParam P - parameters as they are written
 * @typeParam Spec - parameters as the intervention holds them, with defaults filled in
 */
// The signature has no comment of its own: an editor then shows that of the constant, `act({` that of `act`.
export type InterventionFactory<P, Spec = P> = {
  (parameters: P): Intervention<Spec>;
  /** Name, stage, needs and behaviour. */
  readonly kind: InterventionKind;
  /** Checks parameters and fills in defaults (zod). */
  readonly schema: z.ZodType<Spec, P>;
  /** Paper and equation. */
  readonly reference: string;
};

/** Parameters with the defaults of `K` filled in. */
export type Filled<P, K extends keyof P> = Omit<P, K> & Required<Pick<P, K>>;

// biome-ignore lint/suspicious/noExplicitAny: factories of all schemas share the registry
const registry = new Map<string, InterventionFactory<any, any>>();

/**
 * A kind of intervention: parameters, what they do to a model, and names for JSON, `attune eval` and errors. docs/extending.md has a
 * method of thirty lines.
 *
 * @example
 * ```ts
 * const scaled = defineIntervention({
 *   name: 'scaled', stage: 'heads', needs: ['self-attention'], reference: 'z ← s z', schema: z.strictObject({ s: z.number() }),
 *   plan: (model) => ({ knobs: [headKnob('scaled.s', model, 1)], edits: scaleOutputs(model, 'scaled.s') }),
 *   knobs: ({ s }, model) => ({ 'scaled.s': headValues(headTable(model, s, { layers: 'all', heads: 'all', neutral: 1 })) }),
 * });
 * const { logits } = await model.with([scaled({ s: 0.5 })]).forward(inputs);
 * ```
 * @param definition name, stage, needs, reference (paper and equation), schema (zod), plan (knobs and edits), knobs (their values)
 * @returns the function that makes interventions of the kind from parameters
 * @throws AttuneError DEFINITION_INVALID naming what is missing
 */
export function defineIntervention<S extends z.ZodType, V extends Variant = Variant>(
  definition: Definition<S, V>,
): InterventionFactory<z.input<S>, z.output<S>> {
  checkDefinition(definition);
  const { schema, reference, variant, plan, knobs, feed, decoding, run, ...rest } = definition;
  type Own = Intervention<z.output<S>>;
  const kind: InterventionKind = {
    ...rest,
    ...(variant && { variant: (intervention) => variant((intervention as Own | undefined)?.spec) }),
    plan: (model, chosen) => plan(model, (chosen ?? variant?.(undefined)) as V),
    knobs: (intervention, model) => knobs((intervention as Own).spec, model),
    ...(feed && { feed: (intervention, ...others) => feed((intervention as Own).spec, ...others) }),
    ...(decoding && { decoding: (intervention) => decoding((intervention as Own).spec) }),
    ...(run && { run: (intervention, ...others) => run(intervention as Own, ...others) }),
  };
  const make = (parameters: z.input<S>): Own => {
    const parsed = schema.safeParse(parameters);
    if (!parsed.success) throw specInvalid(kind.name, schema, parameters, parsed.error);
    const spec = deepFreeze(parsed.data);
    const toJSON = () => ({ intervention: kind.name, ...(spec as object) });
    const hash = sha256(canonicalJson(toJSON()));
    return Object.freeze({ intervention: kind.name, spec, hash, kind, toJSON });
  };
  const checked = schema as unknown as z.ZodType<z.output<S>, z.input<S>>;
  const factory = Object.assign(make, { kind, schema: checked, reference });
  registry.set(kind.name, factory);
  registerKind(kind.name, (parameters) => make(parameters as z.input<S>) as Intervention);
  return factory;
}

/** What a definition has to have, and how it is written. */
const PARTS: Readonly<Record<string, readonly [check: (value: unknown) => boolean, expected: string]>> = {
  name: [(value) => typeof value === 'string' && value !== '', "a text: name: 'recency'"],
  stage: [(value) => STAGES.includes(value as Stage), STAGES.map((stage) => `'${stage}'`).join(' or ')],
  needs: [Array.isArray, "a list: needs: ['self-attention']"],
  schema: [
    (value) => typeof (value as z.ZodType | null)?.safeParse === 'function',
    'a schema of zod: z.strictObject({ … })',
  ],
  plan: [
    (value) => typeof value === 'function',
    'a function of the model: (model) => ({ knobs: […], edits: […] })',
  ],
  knobs: [
    (value) => typeof value === 'function',
    'a function of parameters and model: (spec, model) => ({ … })',
  ],
};

/** @throws AttuneError DEFINITION_INVALID */
function checkDefinition(definition: unknown): void {
  const given = (definition ?? {}) as Readonly<Record<string, unknown>>;
  for (const [part, [check, expected]] of Object.entries(PARTS)) {
    if (check(given[part])) continue;
    throw new AttuneError('DEFINITION_INVALID', {
      at: `defineIntervention${typeof given.name === 'string' ? ` of ${given.name}` : ''}, "${part}"`,
      found: kindOf(given[part]),
      expected,
      hint: 'docs/extending.md has a method of thirty lines.',
    });
  }
}

/**
 * An intervention from its JSON form, `{ "intervention": "zerotuning", "gamma": 1.4 }`.
 *
 * @example model.use([interventionFromJSON({ intervention: 'zerotuning', gamma: 1.4 })]);
 * @throws AttuneError INTERVENTION_UNKNOWN, SPEC_INVALID
 */
export function interventionFromJSON(json: unknown): Intervention {
  const { intervention, ...parameters } = (json ?? {}) as Record<string, unknown>;
  if (typeof intervention !== 'string') {
    throw new AttuneError('SPEC_INVALID', {
      found: 'a specification without "intervention"',
      expected: '{ "intervention": "<name>", … }',
    });
  }
  return interventionNamed(intervention)(parameters);
}

/** Every kind that was defined, by its name in JSON. */
// biome-ignore lint/suspicious/noExplicitAny: factories of all schemas share the registry
export const definedKinds = (): ReadonlyMap<string, InterventionFactory<any, any>> => registry;

/**
 * The function that makes interventions of a kind, by the name of the kind.
 *
 * @example interventionNamed('zerotuning')({ gamma: 1.4 });
 *
 * @throws AttuneError INTERVENTION_UNKNOWN with the nearest names
 */
// biome-ignore lint/suspicious/noExplicitAny: the schema is known to the factory alone
export function interventionNamed(name: string): InterventionFactory<any, any> {
  const factory = registry.get(name);
  if (factory) return factory;
  throw new AttuneError('INTERVENTION_UNKNOWN', {
    found: `intervention "${name}"`,
    expected: [...registry.keys()].join(', '),
    hint: `Nearest: ${nearest(name, registry.keys(), 1)[0] ?? 'none'}.`,
  });
}

/** JSON with sorted keys, so that equal content has equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

function deepFreeze<T>(value: T): T {
  if (value !== null && typeof value === 'object') {
    for (const inner of Object.values(value)) deepFreeze(inner);
    Object.freeze(value);
  }
  return value;
}
