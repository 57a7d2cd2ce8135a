/**
 * Visual attention redistribution (Kang et al., arXiv 2503.03321): in rows and heads that look at the image, every sink
 * gives the share p of its weight to the visual keys that are no sinks, in proportion.
 *
 *   selected: m_V ≥ m_min and m_A / m_V ≥ ρ and m_A > 0
 *   P'_t = (1 − p) P_t on sinks,  P_t (1 + p m_S / m_A) on visual non-sinks,  P_t elsewhere
 *
 * with m_V, m_A, m_S a row's weight on visual keys, on visual non-sinks, on all sinks (of text, too).
 */
import { type Emit, primitive } from '../../onnx/emitter.ts';
import { DataType } from '../../onnx/index.ts';
import { defineEdit, type EditKnob, type RowCall, type RowForm } from './edit.ts';
import { isOneRow, zeroPerHead } from './one-row.ts';

type Redistribution = {
  /**
   * 'code' selects as the released code does: the sinks' share is at most 1 − ρ, with 1e-6 per visual token in its
   * denominator, and only where a visual sink exists.
   */
  readonly semantics: 'paper' | 'code';
  /** Rows that may change: those from the knob `rows_from` on, or without that knob all that are not visual themselves. */
  readonly rows?: 'text';
};

const ROWS_FROM: EditKnob = {
  name: 'rows_from',
  axes: ['B'],
  neutral: 0,
  type: 'int64',
  doc: 'First position whose row may change.',
};

export const sinkRedistribution = defineEdit<Redistribution>({
  kind: 'sink-redistribution',
  stage: 'probabilities',
  reference: 'VAR, arXiv 2503.03321; code seilk/VisAttnSink',
  knobs: ({ rows }) => [
    { name: 'sink', axes: ['B', 'T|1'], neutral: 0, doc: '1 at sinks, textual and visual.' },
    { name: 'visual', axes: ['B', 'T|1'], neutral: 0, doc: '1 at visual tokens.' },
    ...(rows ? [] : [ROWS_FROM]),
    { name: 'p', axes: ['B', 'H|1'], neutral: 0, doc: 'Share of every sink’s weight that moves.' },
    { name: 'rho', axes: ['B', 'H|1'], neutral: 0.5, doc: 'Smallest share of visual mass outside sinks.' },
    { name: 'min_visual', axes: ['B', 'H|1'], neutral: 0.2, doc: 'Smallest visual mass.' },
  ],
  pattern({ semantics, rows }, call) {
    const [sink, visual] = [call.overKeys('sink', 1), call.overKeys('visual', 1)];
    const { emit, past, T } = call;
    const text = rows && emit('Sub', [emit.float(1), emit.slice(visual, 1, past, T)]); // [B|1, S]
    const form = semantics === 'paper' ? redistributeMap : redistributeMapAsCode;
    const numbers = ['p', 'rho', 'min_visual'].map(call.value);
    return (block, pattern) => {
      const { emit: e } = block;
      const eligible = text
        ? block.cutRows(text, 1)
        : e('GreaterOrEqual', [block.positions(), e('Unsqueeze', [call.value('rows_from'), e.ints(1)])]);
      const [sinks, visuals] = [sink, visual].map((x) => block.cutKeys(x, 1)) as [string, string];
      return e.call(form, pattern, sinks, visuals, eligible, ...numbers)[0]!;
    };
  },
  row: redistributeRow,
});

/** A row's weight on visual keys that are no sinks, on sinks, and on visual keys. */
interface Masses {
  readonly onReceivers: string;
  readonly onSinks: string;
  readonly onVisual: string;
}

/** @param keys marks of the three groups, [B, …, T, 3] @param axis of the three masses */
function massesOf(emit: Emit, pattern: string, keys: string, axis: number): Masses {
  const split = emit.many(3, 'Split', [emit('MatMul', [pattern, keys]), emit.ints(1, 1, 1)], { axis });
  const [onReceivers, onSinks, onVisual] = split as [string, string, string];
  return { onReceivers, onSinks, onVisual };
}

/** Whether a row looks at the image, and not at sinks in it: bool, in the shape of the masses. */
function looks(emit: Emit, { onReceivers, onVisual }: Masses, rho: string, minVisual: string): string {
  const some = emit('Greater', [onReceivers, emit.float(0)]);
  const looking = emit('GreaterOrEqual', [onVisual, minVisual]);
  const apart = emit('GreaterOrEqual', [onReceivers, emit('Mul', [onVisual, rho])]);
  return emit('And', [emit('And', [some, looking]), apart]);
}

/** What every receiver gains and every sink gives, as shares of what it has; 0 in rows that are not selected. */
function moved(emit: Emit, { onReceivers, onSinks }: Masses, selected: string, p: string) {
  const given = emit('Where', [selected, p, emit.float(0)]);
  const freed = emit('Mul', [given, onSinks]);
  return { gained: emit('Div', [freed, emit('Max', [onReceivers, emit.float(1e-30)])]), given };
}

const MAP_INPUTS = ['pattern', 'sink', 'visual', 'eligible', 'p', 'rho', 'min_visual'];
const MAP_DOC =
  'pattern [B, H, S, T]; sink, visual [B, T] of 0 and 1; eligible [B, S]; p, rho, min_visual [B|1, H|1]: in selected rows every sink gives the share p of its weight to the visual keys that are no sinks.';

const redistributeMap = mapForm(
  'SinkRedistribution',
  `${MAP_DOC} Selected: visual mass ≥ min_visual, share outside sinks ≥ rho.`,
  looks,
);

const redistributeMapAsCode = mapForm(
  'SinkRedistributionAsCode',
  `${MAP_DOC} Selected as in the released code: share on sinks ≤ 1 - rho with 1e-6 per visual token in the denominator, only where a visual sink exists.`,
  (emit, { onReceivers, onVisual }, rho, minVisual, [sink, visual]) => {
    const some = emit('Greater', [onReceivers, emit.float(0)]);
    const looking = emit('GreaterOrEqual', [onVisual, minVisual]);
    const tokens = emit.reduce('ReduceSum', visual, 2);
    const shared = emit('Add', [onVisual, emit('Mul', [tokens, emit.float(1e-6)])]);
    const onVisualSinks = emit('Sub', [onVisual, onReceivers]);
    const share = emit('Div', [onVisualSinks, emit('Max', [shared, emit.float(1e-30)])]);
    const few = emit('LessOrEqual', [share, emit('Sub', [emit.float(1), rho])]);
    const visualSinks = emit.reduce('ReduceSum', emit('Mul', [visual, sink]), 2);
    const any = emit('Greater', [visualSinks, emit.float(0)]);
    return emit('And', [emit('And', [some, looking]), emit('And', [few, any])]);
  },
);

/** @param selects from masses, per head; keys are [B, 1, T, 1] marks of sinks and of visual keys */
function mapForm(
  name: string,
  doc: string,
  selects: (
    emit: Emit,
    masses: Masses,
    rho: string,
    minVisual: string,
    keys: readonly [sink: string, visual: string],
  ) => string,
) {
  return primitive({ name, inputs: MAP_INPUTS, outputs: ['edited'], doc }, (emit) => {
    const one = emit.float(1);
    const column = (x: string) => emit('Unsqueeze', [x, emit.ints(1, 3)]); // [B, 1, T, 1]
    const perHead = (x: string) => emit('Unsqueeze', [x, emit.ints(2, 3)]);
    const [sink, visual] = [column('sink'), column('visual')];
    const receiver = emit('Mul', [visual, emit('Sub', [one, sink])]);
    const groups = emit('Concat', [receiver, sink, visual], { axis: 3 });
    const masses = massesOf(emit, 'pattern', groups, 3); // [B, H, S, 1] each
    const rows = emit('Cast', [emit('Unsqueeze', ['eligible', emit.ints(1, 3)])], { to: DataType.BOOL });
    const fit = selects(emit, masses, perHead('rho'), perHead('min_visual'), [sink, visual]);
    const { gained, given } = moved(emit, masses, emit('And', [fit, rows]), perHead('p'));
    // Factors of receivers, sinks and all others [B, H, S, 3], spread over the keys.
    const [grown, kept] = [emit('Add', [gained, one]), emit('Sub', [one, given])];
    const weights = emit('Concat', [grown, kept, emit('Add', [emit('Sub', [given, given]), one])], {
      axis: 3,
    });
    const others = emit('Sub', [emit('Sub', [one, receiver]), sink]);
    const spread = emit('Transpose', [emit('Concat', [receiver, sink, others], { axis: 3 })], {
      perm: [0, 1, 3, 2],
    });
    emit.as('edited', 'Mul', ['pattern', emit('MatMul', [weights, spread])]);
  });
}

/**
 * While decoding, one new row of text. Which keys receive, give and are seen does not change any more, so three rows of
 * marks that the prompt left stand for them, and two small products with the pattern are all it takes:
 *
 *   [m_A, m_S, m_V] = P Gᵀ,   P' = P (1 + [p m_S / m_A, −p, 0] G)   in selected heads
 *
 * @param call with the value `groups` float32 [B, 3, T] beside those of the knobs: 1 at visual keys that are no sinks, at
 *   sinks, at visual keys
 * @returns undefined where the short form does not apply
 */
function redistributeRow({ semantics, rows }: Redistribution, call: RowCall): RowForm | undefined {
  const { context, site, S, T } = call;
  const { groups, visual, min_visual, rho } = call.values;
  if (semantics !== 'paper' || rows !== 'text' || !groups || !visual) return undefined;
  const { emit, once } = context;
  const applies = once(`redistribution:one row of text ${S} ${T} ${visual}`, () => {
    const own = emit.slice(visual, 1, emit.op('Sub', [T, emit.ints(1)], 'last'), T);
    const images = emit.op('ReduceSum', [own, emit.ints(0, 1)], 'image_rows', { keepdims: 0 });
    const text = emit.op('Equal', [images, emit.scalar(0)], 'text');
    return emit.op('And', [isOneRow(context, S, T), text], 'row_of_text');
  });
  const perRow = (x: string) =>
    once(`redistribution:per row ${x}`, () => emit.op('Unsqueeze', [x, emit.ints(2)], 'per_row'));
  const shared = { rho: perRow(rho!), minVisual: perRow(min_visual!), zero: zeroPerHead(context, site) };
  return {
    applies,
    edit: (inner, pattern, values) => {
      const keys = inner('Transpose', [values.groups!], { perm: [0, 2, 1] });
      const masses = massesOf(inner, pattern, keys, 2); // [B, H, 1] each
      const selected = looks(inner, masses, shared.rho, shared.minVisual);
      const p = inner('Unsqueeze', [values.p!, inner.ints(2)]);
      const { gained, given } = moved(inner, masses, selected, p);
      const weights = inner('Concat', [gained, inner('Neg', [given]), shared.zero], { axis: 2 }); // [B, H, 3]
      const change = inner('MatMul', [weights, values.groups!]); // [B, H, T]
      return { pattern: inner('Mul', [pattern, inner('Add', [change, inner.float(1)])]), states: {} };
    },
  };
}
