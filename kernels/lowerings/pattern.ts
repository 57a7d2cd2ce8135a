/**
 * Edits of the probabilities where they are a value of the graph: the same functions as in the expanded lowering
 * (kernels/lowerings/functions), applied to the whole map.
 */
import { AttuneError } from '../../errors.ts';
import { type Emit, emitter } from '../../onnx/emitter.ts';
import { DataType } from '../../onnx/index.ts';
import { joined, type Part } from '../site/fragment.ts';
import type { Edit } from './edits.ts';
import * as columns from './functions/columns.ts';
import * as transfer from './functions/transfer.ts';

export interface PatternSite {
  readonly name: string;
  readonly opset: number;
  /** [B, H, S, T] float32, of causal attention. */
  readonly pattern: string;
  /** [B, T], 0 at padding. */
  readonly attentionMask: string | undefined;
  /** Keys seen to the left, the row's own included. */
  readonly window: number | undefined;
  /** Rows of padding may be NaN: the graph puts that right further on. */
  readonly guarded: boolean;
}

type Values = Readonly<Record<string, string>>;
type Act = Extract<Edit, { kind: 'act' }>;
type Var = Extract<Edit, { kind: 'var' }>;

/**
 * Results: 'pattern', 'sinks' where they are found from columns, 'column_sum' and 'column_count' where these run on.
 * @throws AttuneError LOWERING_LACKS_EDIT for edits of the logits, which come before the pattern
 */
export function editedPattern(site: PatternSite, edits: readonly Edit[], values: Values): Part {
  const other = edits.find(({ kind }) => kind !== 'act' && kind !== 'var');
  if (other) {
    throw new AttuneError('LOWERING_LACKS_EDIT', {
      at: site.name,
      found: `edit '${other.kind}'`,
      expected: "'act' or 'var' where the pattern is a value of the graph",
      hint: 'Logits and head outputs have plan edits of their own: bias, query-scale, write.',
    });
  }
  const emit = emitter(site.opset, `${site.name}.`);
  const extent = extentOf(emit, site);
  const act = edits.find((edit) => edit.kind === 'act');
  const varying = edits.find((edit) => edit.kind === 'var');
  const found =
    act && (act.stats === 'chunk' || act.stats === 'running') ? detect(emit, extent, act, values) : {};
  const calibrated = act ? withAct(emit, extent, act, { ...values, ...found }) : extent.pattern;
  const pattern = varying ? withVar(emit, extent, varying, values, calibrated) : calibrated;
  return joined([emit], { ...found, pattern });
}

/** Everything is over the sequence: T keys, the last S of which are the rows. */
interface Extent {
  readonly pattern: string;
  /** int64 [1]. */
  readonly T: string;
  readonly past: string;
  readonly window: string | undefined;
  /** 1 at real keys [B|1, T] and real rows [B|1, 1, 1, S], float32. */
  readonly keys: string;
  readonly rows: string;
}

function extentOf(emit: Emit, site: PatternSite): Extent {
  const { pattern, attentionMask, window } = site;
  const T = emit.dim(pattern, 3);
  const past = emit('Sub', [T, emit.dim(pattern, 2)]);
  const keys = attentionMask
    ? emit('Cast', [attentionMask], { to: DataType.FLOAT })
    : emit('Expand', [emit.float(1), emit('Concat', [emit.ints(1), T], { axis: 0 })]);
  const rows = emit('Unsqueeze', [emit.slice(keys, 1, past, T), emit.ints(1, 2)]);
  const column = emit('Transpose', [rows], { perm: [0, 1, 3, 2] });
  const isReal = emit('Cast', [column], { to: DataType.BOOL });
  return {
    pattern: site.guarded ? emit('Where', [isReal, pattern, emit.float(0)]) : pattern,
    T,
    past,
    window: window === undefined ? undefined : emit.ints(window),
    keys,
    rows,
  };
}

/** Sinks from the column statistics of the map as it was before any edit. */
function detect(emit: Emit, { pattern, T, past, window, keys, rows }: Extent, edit: Act, values: Values) {
  const before = edit.stats === 'running' ? [values.past_column_sum!, values.past_column_count!] : undefined;
  const add = (i: number, now: string) =>
    before ? emit.call(columns.addRunning, before[i]!, now, T)[0]! : now;
  const column_sum = add(0, emit.call(columns.columnSums, pattern, rows)[0]!);
  const seen = window
    ? emit.call(columns.columnCountsWindow, rows, keys, past, window)[0]!
    : emit.call(columns.columnCounts, rows, keys, past)[0]!;
  const column_count = add(1, emit('Unsqueeze', [seen, emit.ints(1)])); // [B|1, 1, T]
  const form = edit.exclude === 'initial' ? columns.sinksInitial : columns.sinksFirstDetected;
  const N = emit.reduce('ReduceSum', keys, 1);
  const { first, tau, alpha } = values as Record<string, string>;
  const [sinks] = emit.call(form, column_sum, column_count, N, first!, T, tau!, alpha!);
  return { sinks: sinks!, column_sum, column_count };
}

function withAct(emit: Emit, extent: Extent, { stats, exclude }: Act, values: Values): string {
  const { pattern } = extent;
  if (stats !== 'row') return emit.call(transfer.actTransfer, pattern, values.sinks!, values.beta!)[0]!;
  const form = exclude === 'initial' ? columns.rowSinksInitial : columns.rowSinksFirstDetected;
  const { first, tau, alpha } = values as Record<string, string>;
  const seen = keysSeen(emit, extent);
  const [sinks] = emit.call(form, pattern, seen, emit.ints(0), first!, tau!, alpha!);
  return emit.call(transfer.actTransferRows, pattern, sinks!, values.beta!)[0]!;
}

/** Real keys each row sees, [B|1, 1, S, 1]: those up to itself less those up to where its window begins. */
function keysSeen(emit: Emit, { T, past, window, keys }: Extent): string {
  const running = emit('CumSum', [keys, emit.int(1)]);
  const before = emit('Pad', [running, emit.ints(0, 1, 0, 0)]); // before[i]: real keys with index < i
  const next = emit('Add', [positions(emit, past, T), emit.ints(1)]);
  const upTo = (end: string) => emit('Gather', [before, end], { axis: 1 });
  const begin = window && emit('Max', [emit('Sub', [next, window]), emit.ints(0)]);
  const seen = begin ? emit('Sub', [upTo(next), upTo(begin)]) : upTo(next);
  return emit('Unsqueeze', [seen, emit.ints(1, 3)]);
}

function withVar(
  emit: Emit,
  { T, past }: Extent,
  { semantics, rows }: Var,
  values: Values,
  pattern: string,
): string {
  const form = semantics === 'paper' ? transfer.varTransfer : transfer.varTransferCode;
  const { sink, visual, rows_from, p, rho, min_visual } = values as Record<string, string>;
  const eligible = rows
    ? emit('Sub', [emit.float(1), emit.slice(visual!, 1, past, T)])
    : emit('GreaterOrEqual', [positions(emit, past, T), emit('Unsqueeze', [rows_from!, emit.ints(1)])]);
  return emit.call(form, pattern, sink!, visual!, eligible, p!, rho!, min_visual!)[0]!;
}

/** [S] int64. */
function positions(emit: Emit, past: string, T: string): string {
  return emit('Range', [emit('Squeeze', [past]), emit('Squeeze', [T]), emit.int(1)]);
}
