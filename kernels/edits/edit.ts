/**
 * What may be done between q·k and the head outputs, as rows: one file of this folder for each edit, with its equation, its
 * parameters as knobs, what it remembers, its float64 solution and how it is written in a graph. Whoever lowers, solves or
 * tries edits loops over rows and knows none of them by name; a new edit is a file here and a line in index.ts.
 *
 * Letters: B batch, H query heads, S rows of a call, T keys with the cache, E value size.
 */
import type { Emit } from '../../onnx/emitter.ts';
import type { Site } from '../../sites/site.ts';
import type { Block } from '../lowerings/blocks.ts';
import type { HeadLayout } from '../lowerings/lowered.ts';
import type { AttentionCall } from '../reference/attention-call.ts';
import type { Transferred } from '../reference/prob-transfer.ts';
import type { Tensor } from '../reference/tensor.ts';
import type { EditContext } from '../site/context.ts';

/** Where edits act, in the order in which they do. */
export const STAGES = ['documents', 'logits', 'probabilities', 'outputs'] as const;
export type Stage = (typeof STAGES)[number];

/** How an edit is set where that changes the graph; what is a number is a knob. */
export type Options = Readonly<Record<string, string | undefined>>;

/** An edit as a plan asks for it. */
export interface Edit {
  /** What is done. */
  readonly row: EditRow;
  /** How, where that changes the graph. */
  readonly options: Options;
}

/**
 * 'B' is a value per batch row or one for all; 'H' one per query head, 'H|1' or one for all; 'T|1' one per key or one for
 * all; k the number of documents.
 */
export type Axis = 'B' | 'H' | 'H|1' | 'T|1' | 'k' | 'k+1';

/** A parameter: an input of the graph. */
export interface EditKnob {
  /** Local name. */
  readonly name: string;
  /** Its axes. */
  readonly axes: readonly Axis[];
  /** Everywhere, and the site computes what it did before. */
  readonly neutral: number;
  /** Default 'float32'. */
  readonly type?: 'float32' | 'int64';
  /** What it means, in a sentence. */
  readonly doc: string;
}

/** What a call leaves to the next, float32 [B, heads, P], P being 0 at the start of a sequence and S more after each call. */
export interface EditState {
  /** Local name. */
  readonly name: string;
  /** One for each query head, or one for all. */
  readonly heads: 'H' | 1;
}

/** Values of a graph by local name: of knobs, and of states as past_… */
export type Values = Readonly<Record<string, string>>;

/** A call of an attention that is written out, whole or in blocks of its rows. Sizes are values of int64 [1]. */
export interface Call {
  /** Of the graph in which edits prepare what all blocks share. */
  readonly emit: Emit;
  readonly S: string;
  readonly T: string;
  readonly past: string;
  /** 1 at real keys: float32 [B, T]; undefined where none is padding. */
  readonly real: string | undefined;
  /** The value of a knob, or of a state as past_… */
  value(name: string): string;
  /** A knob whose last axis is T|1 brought to length T, other axes as given or 1. */
  overKeys(name: string, ...lead: number[]): string;
  /** Number of real keys: float32 [B, 1] or [1]. */
  countKeys(emit: Emit): string;
  /** Real rows of this call that see each key: float32 [B|1, 1, T], or one number where all keys are seen by the only row. */
  countRows(emit: Emit): string;
  /** How many real keys a row sees: float32 [B|1, 1, rows, 1] of a block. */
  keysSeen(): (block: MapBlock) => string;
}

/** A block of rows of the map [B, H, S, T], or the whole. */
export interface MapBlock extends Block {
  /** Positions of its rows in the sequence, int64 [rows]. */
  positions(): string;
}

/** A block whose logits can be computed again, for some keys only. */
export interface LogitBlock extends MapBlock {
  /** The same rows at some columns, int64 [n]. */
  at(columns: string): LogitBlock;
  /** Probabilities from the logits and what the softmax divided by, as a logarithm [B, H, rows, 1]. */
  weights(lse: string): string;
  /** Σ over the block's columns, of weights times values: [B, H, rows, E]. */
  values(weights: string): string;
  /** Weight of all keys together [1] or [B, H, rows, 1]: below 1 where a learned sink takes some. */
  total(lse: string): string;
  within(emit: Emit): LogitBlock;
}

/** What an edit found from all rows of a call: values by name, and the states that run on. */
export interface Found {
  readonly values: Values;
  readonly states: Values;
}

/** Logits before the mask [B, H, rows, columns]; `raw` as no edit had touched them. */
export type LogitForm = (block: MapBlock, logits: string, raw: string) => string;

/** Probabilities [B, H, rows, columns]. */
export type PatternForm = (block: MapBlock, pattern: string, found: Found | undefined) => string;

/** Outputs [B, H, rows, E] made from those before the edit; `otherwise` makes them from the edited map. */
export type Correction = (
  block: LogitBlock,
  before: { readonly z: string; readonly lse: string },
  otherwise: (block: LogitBlock) => string,
) => string;

/** A call of one new row, whose own probabilities are all that is needed. */
export interface RowCall {
  readonly context: EditContext;
  readonly site: Site;
  /** Of the edit's knobs, in the main graph. */
  readonly values: Values;
  /** Rows and keys with the cache, int64 [1]: the same values for all layers they are the same for. */
  readonly S: string;
  readonly T: string;
}

/** An edit of one row, and when it stands for the whole. */
export interface RowForm {
  /** bool scalar. */
  readonly applies: string;
  /**
   * @param pattern float32 [B, H, T]
   * @param values of the edit's knobs, and what it carried here as past_…
   * @returns the pattern as edited, and what it carries on, by local name
   */
  edit(emit: Emit, pattern: string, values: Values): { pattern: string; states: Values };
}

/** A call in float64, as the solution of an edit sees it. */
export interface Solving extends AttentionCall {
  /** (B, S, T) of 0 and 1. */
  readonly visible: Tensor;
  /** T - S. */
  readonly past: number;
  /** Logits (B, H, S, T) and probabilities before any edit of theirs; of stage 'documents' neither is meant. */
  readonly raw: Tensor;
  readonly before: Tensor;
  /** A knob, neutral where it is not given. */
  value(name: string): Tensor;
  /** What the call before left; undefined at the start of a sequence. */
  state(name: string): Tensor | undefined;
}

/** What an edit makes of logits, probabilities or outputs, and what it lets be seen on the way. */
export interface Solved {
  readonly value: Tensor;
  readonly found?: Readonly<Record<string, Tensor>>;
  readonly states?: Readonly<Record<string, Tensor>>;
  /** Where weight moved between groups of keys. */
  readonly transfer?: Transferred;
}

/** Random numbers for a random problem. */
export interface Draw {
  readonly B: number;
  readonly H: number;
  readonly S: number;
  readonly T: number;
  /** Column of the first real token of each batch row: (B). */
  readonly first: Tensor;
  /** From 0 to 1. */
  uniform(): number;
  /** Of the given shape; default uniform. */
  tensor(shape: readonly number[], value?: () => number): Tensor;
}

/** A state that the first call of a sequence finds and all later ones are given, by its name among what was found. */
export interface Kept<O extends Options = Options> {
  readonly name: string;
  /** The edit as it is written in the first call, and in later ones, where the state is a knob of that name. */
  readonly first: O;
  readonly later: O;
}

/** How the operator of the native runtime is told of an edit (lowerings/native): its attributes and inputs. */
export interface NativeForm {
  readonly attributes: Readonly<Record<string, number>>;
  /** Of the operator's inputs, by name, which knob or past_… state goes there. */
  readonly inputs: Readonly<Record<string, string>>;
  /** The state it gives, if any. */
  readonly state?: string | undefined;
}

/** One edit. Forms that make no sense for it are absent. */
export interface EditRow<O extends Options = Options> {
  /** Name of the edit. */
  readonly kind: string;
  /** Where it acts. */
  readonly stage: Stage;
  /** Paper, or what it is known as. */
  readonly reference: string;
  /** Its parameters. */
  knobs(options: O): readonly EditKnob[];
  /** What it leaves to the next call. */
  states?(options: O): readonly EditState[];
  /**
   * What it finds by itself in the first call of a sequence and keeps for the later ones.
   *
   * @param given names of values that the plan gives
   */
  kept?(options: O, given: ReadonlySet<string>): Kept<O> | undefined;
  /** States that can be told from the graph, and then are none: values by their names, past_… */
  derived?(options: O, call: RowCall): Values;

  /**
   * The equation, in float64. `x` are the logits (B, H, S, T) before any mask, the probabilities, or the outputs
   * (B, H, S, E), by stage; of stage 'documents' nothing that counts, and probabilities are returned.
   */
  solve(options: O, call: Solving, x: Tensor): Solved;
  /** An edit with parameters that say something of it, for property tests. */
  random?(draw: Draw): { readonly options: O; readonly values: Readonly<Record<string, Tensor>> };

  /** Stage 'logits', where all rows are alike: float32 [B|1, H|1, 1, T], added. An operator that stays can take it. */
  bias?(options: O, call: Pick<Call, 'emit' | 'T' | 'value' | 'overKeys'>): string;
  /** Stage 'logits'. */
  logits?(options: O, call: Call): LogitForm;
  /** Stage 'probabilities'. */
  pattern?(options: O, call: Call): PatternForm;
  /** Names of what `find` gives; none where the edit needs nothing of other rows. */
  finds?(options: O): readonly string[];
  /**
   * What it finds from all rows of a call before they are edited.
   *
   * @param columnSums Σ over the call's real rows of the map before any edit, [B, H, T]
   */
  find?(options: O, emit: Emit, call: Call, columnSums: string): Found;
  /** An alternative to `pattern`, of outputs that are there already since `find` took all rows. */
  correct?(options: O, emit: Emit, call: Call, found: Found): Correction;
  /** Stage 'outputs': z in one of two layouts. */
  outputs?(options: O, emit: Emit, z: string, factor: (name: string) => string, layout: HeadLayout): string;
  /** Stage 'probabilities' of one decoded row; undefined where the options have no short form. */
  row?(options: O, call: RowCall): RowForm | undefined;

  /** Of the native runtime's operator. @param given names of values that the plan gives */
  native?(options: O, given: ReadonlySet<string>): NativeForm | undefined;

  /** The edit as a plan asks for it. */
  with(...options: Partial<O> extends O ? [options?: O] : [options: O]): Edit;
}

/**
 * A row of the list of edits, with the function that asks for it in a plan.
 *
 * @example const edits = [sinkCalibration.with({ stats: 'row', exclude: 'initial' })];
 */
export function defineEdit<O extends Options = Readonly<Record<never, never>>>(
  row: Omit<EditRow<O>, 'with'>,
): EditRow<O> {
  const made: EditRow<O> = {
    ...row,
    with: (...[options = {} as O]) => ({ row: made as EditRow, options }),
  };
  return made;
}
