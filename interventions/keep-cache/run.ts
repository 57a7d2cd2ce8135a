/**
 * A call under a bounded cache: what it is fed is made to fit the keys that are there, and behind it keys go where there are too
 * many. Letters: B rows, S new tokens, N keys in the cache, T tokens of the sequence.
 */
import { AttuneError } from '../../errors.ts';
import type { KnobValue } from '../../hooks/compile/index.ts';
import type { Called, Intervention, ModelFacts, Pass, RequestState } from '../../hooks/model/index.ts';
import type { Feeds, OrtTensor } from '../../hooks/session/index.ts';
import { ATTENTION, askRows, grownMass, rowsWanted } from './attention.ts';
import { type CacheTensors, type Making, reduced } from './evict.ts';
import { Kept } from './kept.ts';
import { type CacheLayout, cacheLayout } from './layout.ts';
import { scoreNamed } from './scores/index.ts';
import type { KeepCacheSpec } from './specification.ts';
import { ASK, learnTurns, TABLES, turnsOf } from './tables.ts';
import { hidden, reducedInPlace } from './twin.ts';

type Own = Intervention<KeepCacheSpec>;

/** Whether kept keys have to be turned in this model. */
export const turns = (
  { positions, hold }: Pick<KeepCacheSpec, 'positions' | 'hold'>,
  { fed }: CacheLayout,
): boolean => positions === 'slots' || (!fed && hold === 'evict');

export async function runKept(
  own: Own,
  model: ModelFacts,
  request: RequestState,
  feeds: Feeds,
  pass: Pass,
): Promise<Called> {
  const layout = cacheLayout(model);
  const before = keptBefore(own, layout, request, feeds);
  const making = { own, model, layout };
  const S = lengthOf(feeds);
  const room = own.spec.when === 'before' ? await makeRoom(before, S, feeds, making) : { before, feeds };
  const call = callOf(room.feeds, room.before, making);
  const asks = turns(own.spec, layout) && turnsOf(model) === undefined;
  const masks = own.spec.hold === 'mask';
  const knobs: Record<string, KnobValue> = {
    ...(asks && ASK),
    ...(masks && room.before.tokens > 0 && hidden(room.before, S, model)),
  };
  const rows = rowsOf(own.spec, room.before, S);
  const { outputs, reports } = await pass(call.feeds, {
    knobs: { ...knobs, ...(rows > 0 && askRows(rows)) },
    reports: [...(asks ? [TABLES] : []), ...(rows > 0 ? [ATTENTION] : [])],
  });
  if (asks) learnTurns(model, layout, reports[TABLES]!);
  const reads = scoreNamed(own.spec.score.by).attention !== undefined;
  const mass = reads ? grownMass(room.before, S, reports[ATTENTION], layout.layers.length) : [];
  const after = room.before.extended(call.real, call.next, { start: call.start, mass });
  if (own.spec.when === 'after' && isDue(own.spec, after)) {
    const tensors = presents(outputs, layout);
    const reduce = masks ? reducedInPlace : reduced;
    const less = await reduce(after, tensors, budgetOf(own.spec, after.tokens), making);
    return { outputs: { ...outputs, ...replaced(outputs, less.tensors, layout) }, cache: less.kept };
  }
  return { outputs, cache: after };
}

/** What the cache that is gone on from keeps; an empty one at the start of a sequence. @throws AttuneError STATE_MISMATCH */
function keptBefore(
  { intervention, hash, spec }: Own,
  { layers }: CacheLayout,
  { cache, past }: RequestState,
  feeds: Feeds,
): Kept {
  if (cache instanceof Kept) return cache;
  if (past > 0) {
    throw new AttuneError('STATE_MISMATCH', {
      found: 'a cache of unknown origin',
      expected: `one that this model returned under ${intervention} ${hash.slice(0, 8)}`,
      hint: 'Start the sequence again, without past_key_values: which tokens its keys are of is not known.',
    });
  }
  const B = (feeds.input_ids ?? feeds.inputs_embeds)!.dims[0]!;
  const { granularity } = spec;
  const groups = {
    layers: granularity === 'model' ? 1 : layers.length,
    heads: granularity === 'head' ? layers[0]!.site.kvHeads : 1,
    kvHeads: layers[0]!.site.kvHeads,
  };
  return new Kept({
    of: { intervention, hash },
    renumbered: spec.positions === 'slots',
    groups,
    chosen: Array.from({ length: groups.layers * B * groups.heads }, () => new Int32Array(0)),
    since: 0,
    real: Array.from({ length: B }, () => new Uint8Array(0)),
    next: new Array<number>(B).fill(0),
    start: 0,
    mass: [],
  });
}

const lengthOf = ({ input_ids, inputs_embeds }: Feeds): number => (input_ids ?? inputs_embeds)!.dims[1]!;

/** Keys that stay of a sequence of so many tokens. */
export function budgetOf({ budget, sinks, recent }: KeepCacheSpec, tokens: number): number {
  return typeof budget === 'number' ? budget : Math.max(Math.ceil(budget.share * tokens), sinks + recent + 1);
}

function isDue(spec: KeepCacheSpec, { tokens, held }: Pick<Kept, 'tokens' | 'held'>): boolean {
  return held >= budgetOf(spec, tokens) + spec.every;
}

/** Rows of a call whose attention the score asks for. */
function rowsOf(spec: KeepCacheSpec, { tokens, held }: Kept, S: number): number {
  const asked = scoreNamed(spec.score.by).attention?.(spec.score);
  if (asked === undefined) return 0;
  const left = budgetOf(spec, tokens + S) + spec.every - (held + S);
  return rowsWanted(asked, S, left);
}

/** Keys go before a call that would exceed the budget: never more than there are. */
async function makeRoom(before: Kept, S: number, feeds: Feeds, making: Making) {
  const { spec } = making.own;
  const budget = budgetOf(spec, before.tokens);
  if (before.held === 0 || before.held + S <= budget) return { before, feeds };
  const tensors = Object.fromEntries(
    making.layout.layers.flatMap(({ key, value }) =>
      [key, value].map(({ past }) => [past, feeds[past]!] as const),
    ),
  );
  const reduce = spec.hold === 'mask' ? reducedInPlace : reduced;
  const less = await reduce(before, tensors, Math.max(budget - S, spec.sinks), making);
  return { before: less.kept, feeds: { ...feeds, ...less.tensors } };
}

interface Call {
  readonly feeds: Feeds;
  /** [B][S]: 1 for real tokens. */
  readonly real: readonly Uint8Array[];
  readonly next: readonly number[];
  readonly start: number;
}

/** The feeds as the keys that are there ask for: the mask over them, positions that go on from theirs. */
function callOf(feeds: Feeds, before: Kept, { own: { spec }, layout: { fed } }: Making): Call {
  const S = lengthOf(feeds);
  const mask = feeds.attention_mask;
  const real = before.real.map((_, b) => newestOf(mask, b, S));
  const shaped: Record<string, OrtTensor> = { ...feeds };
  if (mask && before.held > 0 && spec.hold === 'evict') {
    const rows = real.flatMap((row, b) => [...before.mask(b), ...row]);
    shaped.attention_mask = like(mask, rows, [before.B, before.held + S]);
  }
  if (!fed) return { feeds: shaped, real, next: before.next, start: before.start };
  const first = before.held === 0 ? firstPositions(feeds.position_ids!, real) : undefined;
  const positions = real.map((row, b) => first?.rows[b] ?? counted(row, before.next[b]!));
  if (!first) shaped.position_ids = like(feeds.position_ids!, positions.flat(), [before.B, S]);
  const next = positions.map((row, b) =>
    row.reduce((most, position, s) => (real[b]![s] ? Math.max(most, position + 1) : most), before.next[b]!),
  );
  return { feeds: shaped, real, next, start: first?.start ?? before.start };
}

/** Flags of the last S columns of a row. */
function newestOf(mask: OrtTensor | undefined, row: number, S: number): Uint8Array {
  if (!mask) return new Uint8Array(S).fill(1);
  const T = mask.dims[1]!;
  const data = mask.data as ArrayLike<number | bigint>;
  return Uint8Array.from({ length: S }, (_, s) => (Number(data[(row + 1) * T - S + s]) === 0 ? 0 : 1));
}

/** Positions of a sequence's first call, as they were given. */
function firstPositions(given: OrtTensor, real: readonly Uint8Array[]) {
  const S = given.dims[1]!;
  const all = Array.from(given.data as ArrayLike<number | bigint>, Number);
  const rows = real.map((_, b) => all.slice(b * S, (b + 1) * S));
  return { rows, start: rows[0]![real[0]!.indexOf(1)] ?? 0 };
}

/** Padding gets 1, as transformers.js has it. */
function counted(real: Uint8Array, next: number): number[] {
  let position = next;
  return Array.from(real, (flag) => (flag ? position++ : 1));
}

function like(tensor: OrtTensor, values: readonly number[], dims: readonly number[]): OrtTensor {
  const Tensor = tensor.constructor as new (
    type: string,
    data: unknown,
    dims: readonly number[],
  ) => OrtTensor;
  const Data = (tensor.data as object).constructor as new (length: number) => BigInt64Array | Int32Array;
  const data = new Data(values.length);
  values.forEach((value, i) => {
    data[i] = data instanceof BigInt64Array ? BigInt(value) : value;
  });
  return new Tensor(tensor.type, data, dims);
}

function presents(outputs: Readonly<Record<string, OrtTensor>>, { layers }: CacheLayout): CacheTensors {
  return Object.fromEntries(
    layers.flatMap(({ key, value }) =>
      [key, value].map(({ past, present }) => [past, outputs[present]!] as const),
    ),
  );
}

/** Outputs in whose place others come, which nobody else will dispose of. */
function replaced(
  outputs: Readonly<Record<string, OrtTensor>>,
  tensors: CacheTensors,
  { layers }: CacheLayout,
): Record<string, OrtTensor> {
  const pairs = layers.flatMap(({ key, value }) => [key, value]);
  for (const { past, present } of pairs) {
    const old = outputs[present]!;
    if (old !== tensors[past] && (old.location ?? 'cpu') !== 'cpu') old.dispose?.();
  }
  return Object.fromEntries(pairs.map(({ past, present }) => [present, tensors[past]!]));
}
