/**
 * Attention over documents in any call: a prompt, a part of what follows it, one row or a batch with a layout for each
 * row. A Loop goes over batch rows and blocks of their queries; padding on the left is cut off. Importances of all rows
 * come first, since those of a document's rows are summed, then the shifts they give, then the attention itself. Between
 * the two passes only k numbers per row and head are kept.
 */

import type { Emit } from '../../../onnx/emitter.ts';
import { DataType, floatTensor } from '../../../onnx/index.ts';
import { BEYOND, BLOCK_BYTES, countBlocks } from '../blocks.ts';
import { type Argument, type Body, callFunction } from './function.ts';
import type { Mode } from './layout.ts';
import { type Block, mapRows, type Rows } from './rows.ts';
import { closeSite, openSite, type SegmentedSite, type Written } from './site.ts';
import type { Extras, Sizes } from './steps.ts';
import * as steps from './steps.ts';

export interface AmongOptions {
  /** Also give the probabilities, result `pattern`; the queries of a batch row are then one block. */
  readonly tapPattern?: boolean | undefined;
  /** Bytes of logits a block may take. Default BLOCK_BYTES. */
  readonly blockBytes?: number | undefined;
}

export function amongDocuments(
  site: SegmentedSite,
  { tapPattern = false, blockBytes = BLOCK_BYTES }: AmongOptions = {},
): Written {
  const { layout, rotary, mode, pastDocuments } = site;
  const opened = openSite(site, tapPattern ? 'tapped' : 'among');
  const { emit } = opened;
  // Documents are part of the first call, whose queries are all columns.
  const now = emit.slice(opened.fresh, 2, layout.freshFrom, layout.freshTo);
  const documents = pastDocuments ? emit('Concat', [pastDocuments, now], { axis: 2 }) : now;
  const ranking: Argument[] = [
    ['q', opened.q],
    ['documents', documents],
    ['window', layout.from],
    ['own', layout.own],
    ['average', layout.average],
    ['earlier', layout.earlier],
    ['tail', layout.tail],
    ['shift_cos', rotary.shiftCos],
    ['shift_sin', rotary.shiftSin],
  ];
  const given: Argument[] = [
    ['turned', opened.turned],
    ['k', opened.k],
    ['v', opened.v],
    ['first', site.first],
    ['limits', layout.limits],
    ['row_start', layout.rowStart],
    ['row_end', layout.rowEnd],
    ['lengths', layout.lengths],
    ['budget', emit.ints(Math.floor(blockBytes / 4))],
    ...(mode === 'pine' ? ranking : []),
  ];
  const [z, pattern] = callFunction(emit, site, given, bodyOf(mode, tapPattern));
  const results = {
    z: closeSite(emit, site, z!),
    k: opened.keys,
    v: site.past?.v === undefined ? undefined : opened.values,
    documents: now,
    folded: emit('Gather', [opened.k, layout.fold], { axis: 2 }),
    pattern,
  };
  return { nodes: emit.nodes, functions: emit.functions, results };
}

function bodyOf(mode: Mode, tapPattern: boolean): Body {
  return {
    name: `AttentionAmongDocuments${tapPattern ? 'Tapped' : ''}`,
    outputs: tapPattern ? ['z', 'pattern'] : ['z'],
    doc: 'Queries q [B, H, S, D], unrotated, and turned, at base positions, over k, v [B, K, T, ·]; documents [B, K, W, D] unrotated → z [B, H, S, E].',
    write(emit, sizes, extras) {
      const [B, S, T] = [emit.dim('turned', 0), emit.dim('turned', 2), emit.dim('k', 2)];
      const { count, rows: height } = tapPattern
        ? { count: emit.ints(1), rows: S }
        : countBlocks(emit, 'budget', [emit.ints(sizes.H), T], S);
      const rows: Rows = { emit, B, S, T, past: emit('Sub', [T, S]), count, height };
      const shifts = mode === 'pine' ? shiftsOfAll(rows, sizes) : undefined;
      const outputs = mapRows(rows, tapPattern ? 2 : 1, (block) => {
        const view = viewOf(block, rows, mode === 'pine');
        const probs = probabilities(view, { mode, sizes, extras, shifts });
        const z = steps.weighted(block.emit, probs, view.cut('v'), sizes);
        return tapPattern ? [z, view.spread(probs)] : [z];
      });
      emit.as('z', 'Identity', [outputs[0]!]);
      if (tapPattern) emit.as('pattern', 'Identity', [outputs[1]!]);
    },
  };
}

/** Shifts of all queries, [B, k, H, S] int64. */
function shiftsOfAll(rows: Rows, sizes: Sizes): string {
  const { emit } = rows;
  const { documents: k } = sizes;
  const [each] = mapRows(rows, 1, (block) => [importances(block, sizes)]); // [B, H, S, k]
  const order = (masses: string) =>
    emit('Squeeze', [steps.shiftsOf(emit, masses, 'earlier', 'lengths'), emit.ints(3)]);
  // Queries of a document share its summed importances, and it comes first.
  const own = emit('Unsqueeze', ['own', emit.ints(1)]); // [B, 1, S, k]
  const summed = emit('MatMul', [emit('Transpose', [own], { perm: [0, 1, 3, 2] }), each!]); // [B, H, k, k]
  const identity = Array.from({ length: k * k }, (_, i) => (i % (k + 1) === 0 ? SELF : 0));
  const itself = emit('Constant', [], { value: floatTensor('', identity, [k, k]) });
  const inDocuments = emit('MatMul', [own, order(emit('Add', [summed, itself]))]); // [B, H, S, k]
  const after = order(emit.slice(each!, 2, 'tail', emit.ints(2 ** 31)));
  const before = emit('Concat', [emit.ints(0, 0), 'tail', emit.ints(0, 0, 0, 0, 0)], { axis: 0 });
  const outside = emit('Sub', [emit.float(1), emit('ReduceSum', [own, emit.ints(3)], { keepdims: 1 })]);
  const all = emit('Add', [inDocuments, emit('Mul', [emit('Pad', [after, before]), outside])]);
  return emit('Transpose', [emit('Cast', [all], { to: DataType.INT64 })], { perm: [0, 3, 1, 2] });
}

/** More than any importance. */
const SELF = 1e30;

/** Importances of a block's queries one by one, [1, H, R, k]: over all documents but the query's own. */
function importances(block: Block, sizes: Sizes): string {
  const { emit } = block;
  const one = emit.ints(1);
  const end = emit('Add', ['window', emit.dim('documents', 2)]);
  const start = emit('Min', [limit(block, 0), emit('Sub', [end, one])]);
  const stop = emit('Max', [limit(block, -1), emit('Add', [start, one])]);
  const cut = (x: string, axis: number) =>
    block.part(x, axis, emit('Sub', [start, 'window']), emit('Sub', [stop, 'window']));
  const t = columns(emit, start, stop);
  const same = emit('And', [
    emit('GreaterOrEqual', [t, down(block, 'row_start')]),
    emit('Less', [t, down(block, 'row_end')]),
  ]);
  const logits = steps.products(emit, block.queries('q', 2), cut('documents', 2), sizes);
  const others = emit('Add', [logits, steps.hiding(emit, same)]);
  return steps.importance(emit, others, emit('Unsqueeze', [cut('average', 1), one]));
}

/** A block and the columns it looks at. */
interface View {
  readonly block: Block;
  readonly start: string;
  readonly end: string;
  /** Positions of its queries, [R, 1], and its columns, [C]. */
  readonly s: string;
  readonly t: string;
  /** [1, K, C, ·] of a value over all columns. */
  cut(x: string): string;
  /** [1, H, R, T] of a value over the columns, with zeros around. */
  spread(x: string): string;
}

/** @param ahead documents see each other, so that a block looks at all of them */
function viewOf(block: Block, { T, past }: Rows, ahead: boolean): View {
  const { emit } = block;
  const begin = block.of('first');
  const one = emit.ints(1);
  const causal = emit('Max', [emit('Add', [past, block.to]), emit('Add', [begin, one])]);
  const end = ahead ? emit('Max', [causal, limit(block, -1)]) : causal;
  return {
    block,
    start: begin,
    end,
    s: emit('Unsqueeze', [
      columns(emit, emit('Add', [past, block.from]), emit('Add', [past, block.to])),
      one,
    ]),
    t: columns(emit, begin, end),
    cut: (x) => block.part(x, 2, begin, end),
    spread: (x) => {
      const pads = [emit.ints(0, 0, 0), begin, emit.ints(0, 0, 0), emit('Sub', [T, end])];
      return emit('Pad', [x, emit('Concat', pads, { axis: 0 })]);
    },
  };
}

interface Attending {
  readonly mode: Mode;
  readonly sizes: Sizes;
  readonly extras: Extras;
  readonly shifts: string | undefined;
}

/** [1, H, R, C] */
function probabilities(view: View, { mode, sizes, extras, shifts }: Attending): string {
  const { block, start, end } = view;
  const { emit } = block;
  const queries = block.queries('turned', 2);
  const keys = view.cut('k');
  const bias = extras.has('bias') ? block.window('bias', start, end) : undefined;
  if (shifts === undefined) {
    const logits = steps.products(emit, queries, keys, sizes);
    const shared = mode === 'sp' ? scaledDown(view) : undefined;
    return steps.probabilities(emit, logits, extras, steps.hiding(emit, hiddenApart(view)), shared, bias);
  }
  const moved = emit('Reshape', [block.queries(shifts, 3), emit.ints(sizes.documents * sizes.H, -1)]);
  const limits = emit('Reshape', [block.part('limits', 1, emit.ints(0), emit.ints(2 ** 31)), emit.ints(-1)]);
  const edges = emit('Concat', [start, limits, end], { axis: 0 }); // [k + 3]
  const runs = emit('Sub', [
    emit.slice(edges, 0, emit.ints(1), emit.ints(2 ** 31)),
    emit.slice(edges, 0, emit.ints(0), emit.ints(-1)),
  ]);
  const logits = steps.logitsByRun(emit, queries, moved, keys, runs, sizes);
  return steps.probabilities(emit, logits, extras, steps.hiding(emit, hiddenAmong(view)), bias);
}

/** Documents see each other both ways and themselves causally, and nothing after them; all else is causal. [R, C] */
function hiddenAmong({ block, s, t }: View): string {
  const { emit } = block;
  const own = emit('Less', [t, down(block, 'row_end')]);
  const behind = emit('GreaterOrEqual', [t, limit(block, -1)]);
  return emit('And', [emit('Greater', [t, s]), emit('Or', [own, behind])]);
}

/** Documents do not see each other; all else is causal. [R, C] */
function hiddenApart({ block, s, t }: View): string {
  const { emit } = block;
  const start = down(block, 'row_start');
  const floor = emit('Where', [emit('Equal', [start, emit.int(BEYOND)]), emit.int(0), start]);
  const others = emit('And', [emit('GreaterOrEqual', [t, limit(block, 0)]), emit('Less', [t, floor])]);
  return emit('Or', [emit('Greater', [t, s]), others]);
}

/** -ln N at the keys of N documents, for queries after them: [R, C]. */
function scaledDown({ block, s, t }: View): string {
  const { emit } = block;
  const end = limit(block, -1);
  const keys = emit('And', [emit('GreaterOrEqual', [t, limit(block, 0)]), emit('Less', [t, end])]);
  const sizes = block.part('lengths', 4, emit.ints(0), emit.ints(2 ** 31));
  const some = emit('Cast', [emit('Greater', [sizes, emit.float(0)])], { to: DataType.FLOAT });
  const count = emit('Max', [emit('ReduceSum', [some], { keepdims: 0 }), emit.float(1)]);
  const both = emit('And', [keys, emit('GreaterOrEqual', [s, end])]);
  return emit('Where', [both, emit('Neg', [emit('Log', [count])]), emit.float(0)]);
}

/** Limit i of the batch row, -1 the last: [1]. */
function limit(block: Block, i: number): string {
  const { emit } = block;
  const own = block.part('limits', 1, emit.ints(i), emit.ints(i < 0 ? 2 ** 31 : i + 1));
  return emit('Reshape', [own, emit.ints(1)]);
}

function columns(emit: Emit, from: string, to: string): string {
  return emit('Range', [emit('Squeeze', [from]), emit('Squeeze', [to]), emit.int(1)]);
}

/** [R, 1] of a value [B, S]. */
function down(block: Block, x: string): string {
  const { emit } = block;
  return emit('Reshape', [block.queries(x, 1), emit.ints(-1, 1)]);
}
