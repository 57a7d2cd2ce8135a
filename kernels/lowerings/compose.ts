/**
 * The body of an expanded attention function: every step written once, used on the whole call or on a block of its rows.
 * Names of values are those of the function's inputs (expanded.ts lists them); letters as everywhere in kernels/.
 */

import type { Emit, Output } from '../../onnx/emitter.ts';
import { DataType } from '../../onnx/index.ts';
import { atColumns, type Block, type Extent } from './blocks.ts';
import type { Edit } from './edits.ts';
import * as columns from './functions/columns.ts';
import * as heads from './functions/heads.ts';
import { firstKeys } from './functions/keys.ts';
import * as logits from './functions/logits.ts';
import * as pattern from './functions/pattern.ts';
import * as transfer from './functions/transfer.ts';

/** Sinks found from column statistics: value names. */
export interface Found {
  readonly sinks: string;
  readonly score: string;
  readonly sums: string;
  readonly counts: string;
}

/** Columns in which any head has sinks, [B|1, H, n] which of them has, and whether they are few. */
interface SinkColumns {
  readonly at: string;
  readonly marks: string;
  readonly few: string;
}

/** @param names inputs the function has */
export function composeSteps(emit: Emit, edits: readonly Edit[], names: ReadonlySet<string>, extent: Extent) {
  const { S, T, past, causal } = extent;
  const find = <K extends Edit['kind']>(kind: K) =>
    edits.find((edit): edit is Extract<Edit, { kind: K }> => edit.kind === kind);
  const [act, gain, marking, varying] = [find('act'), find('gain'), find('logWeights'), find('var')];
  const detecting = act?.stats === 'chunk' || act?.stats === 'running';
  const window = extent.window ?? emit.ints(0);

  // Parameters over the keys, brought to length T once, so that blocks can cut them.
  const overKeys = (x: string, ...lead: number[]) =>
    emit('Expand', [x, emit('Concat', [emit.ints(...lead), T], { axis: 0 })]);
  const overRows = (x: string) => emit('Unsqueeze', [overKeys(x, 1, 1), emit.ints(2)]);
  const marked =
    marking && (marking.keys === 'first' ? emit.call(firstKeys, 'first', T)[0]! : overKeys('keys', 1));
  const gains = gain && overRows('b');
  const added = find('bias') && overRows('key_bias');
  const sinkAndVisual = varying && ([overKeys('sink', 1), overKeys('visual', 1)] as const);
  const textRows = varying?.rows && emit('Sub', [emit.float(1), emit.slice(sinkAndVisual![1], 1, past, T)]); // [B|1, S]
  const frozen = act?.stats === 'frozen' ? overKeys('sinks', 1, 1) : undefined;
  const real = names.has('real') ? 'real' : undefined;
  const realRows = real && emit('Unsqueeze', [emit.slice(real, 1, past, T), emit.ints(1, 2)]); // [B, 1, 1, S]

  /** Positions of a block's rows: [rows]. */
  const positions = ({ emit: e, from, rows }: Block) => {
    const first = e('Add', [past, from]);
    return e('Range', [e('Squeeze', [first]), e('Squeeze', [e('Add', [first, rows])]), e.int(1)]);
  };

  /** Whether the order of keys hides any from a block. */
  const hides = ({ only }: Block) => causal && !(only && extent.window === undefined);

  /** 0 where a row may see a key, very low where not: [B|1, 1, rows, columns], undefined when all see all. */
  const visibility = (block: Block): string | undefined => {
    const { emit: e } = block;
    const from = hides(block) ? e('Add', [past, block.from]) : '';
    const time = hides(block) && e.call(pattern.causalBias, from, block.rows, block.columns(), window)[0]!;
    const padding = real && e.call(pattern.paddingBias, block.cutKeys(real, 1))[0]!;
    return time && padding ? e('Add', [time, padding]) : time || padding;
  };

  const scoresOf = (block: Block): string => {
    const { emit: e } = block;
    const [q, k] = [block.cutRows('q', 2), block.cutKeys('k', 2)];
    let scores = e.call(pattern.groupedScores, q, k, 'scale', 'groups', 'heads')[0]!;
    if (names.has('softcap')) scores = e.call(pattern.softCap, scores, 'softcap')[0]!;
    const raw = scores;
    if (find('temperature')) scores = e.call(logits.temperature, scores, 'a')[0]!;
    if (gains) scores = e.call(logits.logitGain, scores, raw, gainOf(block, block.cutKeys(gains, 3)))[0]!;
    if (added) scores = e('Add', [scores, block.cutKeys(added, 3)]);
    if (marked) scores = e.call(logits.logWeights, scores, 'log_weight', block.cutKeys(marked, 1))[0]!;
    return scores;
  };

  /** The gain where a row takes part in it: everywhere, or only in the call's last row. */
  const gainOf = (block: Block, gained: string): string => {
    if (gain!.rows === 'all') return gained;
    const { emit: e } = block;
    const last = e('Equal', [positions(block), e('Sub', [T, e.ints(1)])]);
    return e('Mul', [gained, e('Unsqueeze', [e('Cast', [last], { to: DataType.FLOAT }), e.ints(0, 1, 3)])]);
  };

  /** Logits after their edits, very low where hidden: [B, H, rows, columns]. */
  const logitsOf = (block: Block): string => {
    const { emit: e } = block;
    const hidden = visibility(block);
    const scores = scoresOf(block);
    const masked = hidden ? e('Add', [scores, hidden]) : scores;
    return names.has('bias') ? e('Add', [masked, block.cutKeys(block.cutRows('bias', 2), 3)]) : masked;
  };

  /** Probabilities before any edit of them: [B, H, rows, columns]. */
  const patternOf = (block: Block, masked = logitsOf(block)): string => {
    const { emit: e } = block;
    if (names.has('head_sink')) return e.call(pattern.sinkSoftmax, masked, 'head_sink')[0]!;
    return e('Softmax', [masked], { axis: -1 });
  };

  /** Probabilities, and what the softmax of each row divided by as a logarithm, [B, H, rows, 1]. */
  const patternAndSize = (block: Block): { rows: string; lse: string } => {
    const masked = logitsOf(block);
    const rows = patternOf(block, masked);
    return { rows, lse: block.emit.call(pattern.logSumExp, masked, rows)[0]! };
  };

  /** Column sums of a block's real rows, each row counted in one block only: [B, H, columns]. */
  const columnSums = (block: Block, rows: string): string => {
    const { emit: e } = block;
    if (block.only) return e('Squeeze', [realRows ? e('Mul', [rows, realRows]) : rows, e.ints(2)]);
    const fresh = e('Unsqueeze', [block.fresh(), e.ints(0, 1, 2)]); // [1, 1, 1, rows]
    const counted = realRows ? e('Mul', [block.cutRows(realRows, 3), fresh]) : fresh;
    return e.call(columns.columnSums, rows, counted)[0]!;
  };

  /** Rows of this call that see each key: float32 [B|1, 1, T], or one number where the only row sees all keys. */
  const seenNow = (e: Emit, keys: () => string, only: boolean): string => {
    if (only && !real && extent.window === undefined) return e.float(1);
    const counted = realRows ?? e('Expand', [e.float(1), e('Concat', [e.ints(1, 1, 1), S], { axis: 0 })]);
    const seen = extent.window
      ? e.call(columns.columnCountsWindow, counted, keys(), past, extent.window)[0]!
      : e.call(columns.columnCounts, counted, keys(), past)[0]!;
    return e('Unsqueeze', [seen, e.ints(1)]);
  };

  /** Sinks from the statistics of all rows; `sums` adds up this call's. @param only the call is of one row */
  const detect = (e: Emit, sums: () => string, only = false): Found | undefined => {
    if (!detecting) return undefined;
    const keys = () => real ?? e('Expand', [e.float(1), e('Concat', [e.ints(1), T], { axis: 0 })]);
    const N = real ? e.reduce('ReduceSum', real, 1) : e('Cast', [T], { to: DataType.FLOAT });
    const add = (state: string, now: string) =>
      act!.stats === 'running' ? e.call(columns.addRunning, state, now, T)[0]! : now;
    const total = add('past_column_sum', sums());
    const counts = add('past_column_count', seenNow(e, keys, only));
    const form = act!.exclude === 'initial' ? columns.sinksInitial : columns.sinksFirstDetected;
    const found = e.call(form, total, counts, N, 'first', T, 'tau', 'alpha');
    return { sinks: found[0]!, score: found[1]!, sums: total, counts };
  };

  const rowSinks = (block: Block, rows: string): string => {
    const { emit: e } = block;
    const hidden = visibility(block);
    const open = hidden
      ? e('Cast', [e('GreaterOrEqual', [hidden, e.float(0)])], { to: DataType.FLOAT })
      : e('Expand', [e.float(1), e('Concat', [e.ints(1, 1, 1), T], { axis: 0 })]);
    const form = act!.exclude === 'initial' ? columns.rowSinksInitial : columns.rowSinksFirstDetected;
    return e.call(form, rows, e.reduce('ReduceSum', open, 3), block.start, 'first', 'tau', 'alpha')[0]!;
  };

  /** Probabilities after their edits. */
  const transferred = (block: Block, rows: string, found?: string): string => {
    const { emit: e } = block;
    let edited = rows;
    const sinks = found ?? frozen;
    if (sinks && block.only) {
      edited = e.call(transfer.actTransferRows, edited, e('Unsqueeze', [sinks, e.ints(2)]), 'beta')[0]!;
    } else if (sinks) edited = e.call(transfer.actTransfer, edited, block.cutKeys(sinks, 2), 'beta')[0]!;
    if (act?.stats === 'row') {
      edited = e.call(transfer.actTransferRows, edited, rowSinks(block, edited), 'beta')[0]!;
    }
    if (sinkAndVisual) {
      const form = varying!.semantics === 'paper' ? transfer.varTransfer : transfer.varTransferCode;
      const eligible = varying!.rows
        ? block.cutRows(textRows!, 1)
        : e('GreaterOrEqual', [positions(block), e('Unsqueeze', ['rows_from', e.ints(1)])]);
      const [sink, visual] = sinkAndVisual.map((x) => block.cutKeys(x, 1)) as [string, string];
      edited = e.call(form, edited, sink, visual, eligible, 'p', 'rho', 'min_visual')[0]!;
    }
    return edited;
  };

  const valuesOf = (block: Block, edited: string): string =>
    block.emit.call(pattern.groupedValues, edited, block.cutKeys('v', 2), 'groups', 'heads')[0]!;

  const scaledHeads = (e: Emit, z: string): string =>
    find('headScale') ? e.call(heads.headScale, z, 'head_scale')[0]! : z;

  /** Head outputs from edited probabilities: [B, H, rows, E]. */
  const outputOf = (block: Block, edited: string): string => scaledHeads(block.emit, valuesOf(block, edited));

  /** Whether ACT corrects outputs that are there, since finding sinks takes all rows. */
  const corrects = detecting && !sinkAndVisual;

  /** The columns a call's sinks are in, for `calibrated`. */
  const sinkColumns = (e: Emit, found: string): SinkColumns => {
    const [at, marks, few] = e.call(columns.sinkColumns, found, 'beta');
    return { at: at!, marks: marks!, few: few! };
  };

  /**
   * Outputs of a block after ACT from those before, z [B, H, rows, E], by the columns of sinks alone; where that would lose
   * precision or time, `otherwise`.
   */
  const calibrated = (
    block: Block,
    { at, marks, few }: SinkColumns,
    { z, lse }: { z: string; lse: string },
    otherwise: (e: Block) => string,
  ): string => {
    const { emit: e } = block;
    const there = atColumns(block, at);
    const weights = e('Exp', [e('Sub', [logitsOf(there), lse])]);
    const own = e('Mul', [weights, e('Unsqueeze', [marks, e.ints(2)])]);
    const onSinks = e.reduce('ReduceSum', own, 3);
    const one = e.float(1);
    const total = names.has('head_sink') ? e('Sub', [one, e('Exp', [e('Sub', [headSinks(e), lse])])]) : one;
    const [edited, fit] = e.call(transfer.actOutputs, z, onSinks, valuesOf(there, own), total, 'beta');
    const [chosen] = e.either(
      e('And', [few, fit!]),
      (inner) => [[inner('Identity', [edited!]), DataType.FLOAT]],
      (inner) => [[otherwise(block.within(inner)), DataType.FLOAT]],
    );
    return scaledHeads(e, chosen!);
  };

  /** [1, H, 1, 1] */
  const headSinks = (e: Emit) =>
    e('Unsqueeze', [e('Cast', ['head_sink'], { to: DataType.FLOAT }), e.ints(0, 2, 3)]);

  /** The function's outputs in the order expanded.ts declares them. */
  const results = (z: string, found?: Found): Output[] => {
    const state = found && act!.stats === 'running' ? [found.sums, found.counts] : [];
    const taps = found ? [found.sinks, found.score] : [];
    return [z, ...state, ...taps].map((value) => [value, DataType.FLOAT]);
  };

  return {
    pattern: patternOf,
    patternAndSize,
    columnSums,
    detect,
    transfer: transferred,
    values: valuesOf,
    output: outputOf,
    corrects,
    sinkColumns,
    calibrated,
    results,
  };
}
