/**
 * The body of an expanded attention function: every step written once, used on the whole call or on a block of its rows.
 * Names of values are those of the function's inputs (expanded.ts lists them); letters as everywhere in kernels/.
 */

import type { Emit, Output } from '../../onnx/emitter.ts';
import { DataType } from '../../onnx/index.ts';
import type { Edit, Found, LogitBlock } from '../edits/edit.ts';
import { atColumns, type Block, type Extent } from './blocks.ts';
import { callOf, columnSums, mapBlock, realRows } from './call.ts';
import { inOrder } from './edits.ts';
import * as pattern from './functions/pattern.ts';

/** What each edit found, by its place. */
export type Findings = readonly (Found | undefined)[];

/** @param names inputs the function has @param only the call is known to be of one row */
export function composeSteps(
  emit: Emit,
  given: readonly Edit[],
  names: ReadonlySet<string>,
  extent: Extent,
  only = false,
) {
  const { past, causal } = extent;
  const edits = inOrder(given);
  const finding = edits.map(({ row, options }) => (row.finds?.(options) ?? []).length > 0);
  const finds = finding.includes(true);
  const real = names.has('real') ? 'real' : undefined;
  const rows = finds ? realRows(emit, real, extent) : undefined;
  const call = callOf(emit, { extent, real, rows, value: (name) => name, only });

  // What blocks share of each edit is computed here, once.
  const biases = edits.flatMap(({ row, options }) => row.bias?.(options, call) ?? []);
  const added = biases.length > 0 ? biases.reduce((sum, bias) => emit('Add', [sum, bias])) : undefined;
  const onLogits = edits.flatMap(({ row, options }) => row.logits?.(options, call) ?? []);
  const onPattern = edits.map(({ row, options }) => row.pattern?.(options, call));

  /** Whether the order of keys hides any from a block. */
  const hides = (block: Block) => causal && !(block.only && extent.window === undefined);

  /** 0 where a row may see a key, very low where not: [B|1, 1, rows, columns], undefined when all see all. */
  const visibility = (block: Block): string | undefined => {
    const { emit: e } = block;
    const from = hides(block) ? e('Add', [past, block.from]) : '';
    const window = () => extent.window ?? emit.ints(0);
    const time = hides(block) && e.call(pattern.causalBias, from, block.rows, block.columns(), window())[0]!;
    const padding = real && e.call(pattern.paddingBias, block.cutKeys(real, 1))[0]!;
    return time && padding ? e('Add', [time, padding]) : time || padding;
  };

  /** Logits after their edits, very low where hidden: [B, H, rows, columns]. */
  const logitsOf = (block: Block): string => {
    const { emit: e } = block;
    const [q, k] = [block.cutRows('q', 2), block.cutKeys('k', 2)];
    let raw = e.call(pattern.groupedScores, q, k, 'scale', 'groups', 'heads')[0]!;
    if (names.has('softcap')) raw = e.call(pattern.softCap, raw, 'softcap')[0]!;
    const rowsOf = mapBlock(block, extent);
    const edited = onLogits.reduce((logits, form) => form(rowsOf, logits, raw), raw);
    const biased = added ? e('Add', [edited, block.cutKeys(added, 3)]) : edited;
    const hidden = visibility(block);
    const masked = hidden ? e('Add', [biased, hidden]) : biased;
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
    const probabilities = patternOf(block, masked);
    return { rows: probabilities, lse: block.emit.call(pattern.logSumExp, masked, probabilities)[0]! };
  };

  /** What edits find from all rows; `sums` adds up their columns, where any edit asks. */
  const find = (e: Emit, sums: () => string): Findings => {
    if (!finds) return edits.map(() => undefined);
    const total = sums();
    return edits.map(({ row, options }, i) => (finding[i] ? row.find?.(options, e, call, total) : undefined));
  };

  /** Probabilities after their edits. */
  const transferred = (block: Block, before: string, found: Findings): string => {
    const place = mapBlock(block, extent);
    return onPattern.reduce((edited, form, i) => form?.(place, edited, found[i]) ?? edited, before);
  };

  const valuesOf = (block: Block, edited: string): string =>
    block.emit.call(pattern.groupedValues, edited, block.cutKeys('v', 2), 'groups', 'heads')[0]!;

  /** Head outputs after their edits. */
  const finished = (e: Emit, z: string): string =>
    edits.reduce((out, { row, options }) => row.outputs?.(options, e, out, (name) => name, 'BNSD') ?? out, z);

  /** Head outputs from edited probabilities: [B, H, rows, E]. */
  const outputOf = (block: Block, edited: string): string => finished(block.emit, valuesOf(block, edited));

  const logitBlock = (block: Block): LogitBlock => ({
    ...mapBlock(block, extent),
    at: (columns) => logitBlock(atColumns(block, columns)),
    weights: (lse) => block.emit('Exp', [block.emit('Sub', [logitsOf(block), lse])]),
    values: (weights) => valuesOf(block, weights),
    total: (lse) => {
      const { emit: e } = block;
      const one = e.float(1);
      if (!names.has('head_sink')) return one;
      const sinks = e('Unsqueeze', [e('Cast', ['head_sink'], { to: DataType.FLOAT }), e.ints(0, 2, 3)]);
      return e('Sub', [one, e('Exp', [e('Sub', [sinks, lse])])]);
    },
    within: (inner) => logitBlock(block.within(inner)),
  });

  const changing = edits.filter((_, i) => onPattern[i]);
  const corrects =
    changing.length === 1 && changing[0]!.row.correct !== undefined && finding[edits.indexOf(changing[0]!)]!;

  /**
   * Corrects outputs that are there: where the only edit of the probabilities takes all rows to know what it does, by when
   * outputs have been made. Call it if `corrects`.
   */
  const corrector = (e: Emit, found: Findings) => {
    const at = edits.indexOf(changing[0]!);
    const { row, options } = edits[at]!;
    const correct = row.correct!(options, e, call, found[at]!);
    return (block: Block, before: { readonly z: string; readonly lse: string }) => {
      const otherwise = (inner: LogitBlock) => valuesOf(inner, transferred(inner, patternOf(inner), found));
      return finished(block.emit, correct(logitBlock(block), before, otherwise));
    };
  };

  /** The function's outputs in the order expanded.ts declares them. */
  const results = (z: string, found: Findings): Output[] => {
    const states = edits.flatMap(({ row, options }, i) =>
      (row.states?.(options) ?? []).map(({ name }) => found[i]!.states[name]!),
    );
    const taps = edits.flatMap(({ row, options }, i) =>
      (row.finds?.(options) ?? []).map((name) => found[i]!.values[name]!),
    );
    return [z, ...states, ...taps].map((value) => [value, DataType.FLOAT]);
  };

  return {
    pattern: patternOf,
    patternAndSize,
    columnSums: (block: Block, probabilities: string) => columnSums(block, probabilities, rows),
    find,
    transfer: transferred,
    values: valuesOf,
    output: outputOf,
    corrects,
    corrector,
    results,
  };
}
