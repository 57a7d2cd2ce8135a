/**
 * Weight moved from sinks to visual keys that are none, in the rows that look at the image: group weights by one small
 * product, a factor per group from the rule, and the factors spread over the keys by another.
 */
import { type Emit, primitive } from '../../../onnx/emitter.ts';
import { DataType } from '../../../onnx/index.ts';

/** A row's weight on visual keys that are no sinks, on sinks, and on visual keys. */
export interface Masses {
  readonly onReceivers: string;
  readonly onSinks: string;
  readonly onVisual: string;
}

/** @param keys marks of the three groups, [B, …, T, 3] @param axis of the three masses */
export function massesOf(emit: Emit, pattern: string, keys: string, axis: number): Masses {
  const split = emit.many(3, 'Split', [emit('MatMul', [pattern, keys]), emit.ints(1, 1, 1)], { axis });
  const [onReceivers, onSinks, onVisual] = split as [string, string, string];
  return { onReceivers, onSinks, onVisual };
}

/** Whether a row looks at the image, and not at sinks in it: bool, in the shape of the masses. */
export function looks(emit: Emit, { onReceivers, onVisual }: Masses, rho: string, minVisual: string): string {
  const some = emit('Greater', [onReceivers, emit.float(0)]);
  const looking = emit('GreaterOrEqual', [onVisual, minVisual]);
  const apart = emit('GreaterOrEqual', [onReceivers, emit('Mul', [onVisual, rho])]);
  return emit('And', [emit('And', [some, looking]), apart]);
}

/** What every receiver gains and every sink gives, as shares of what it has; 0 in rows that are not selected. */
export function moved(emit: Emit, { onReceivers, onSinks }: Masses, selected: string, p: string) {
  const given = emit('Where', [selected, p, emit.float(0)]);
  const freed = emit('Mul', [given, onSinks]);
  return { gained: emit('Div', [freed, emit('Max', [onReceivers, emit.float(1e-30)])]), given };
}

const MAP_INPUTS = ['pattern', 'sink', 'visual', 'eligible', 'p', 'rho', 'min_visual'];
const MAP_DOC =
  'pattern [B, H, S, T]; sink, visual [B, T] of 0 and 1; eligible [B, S]; p, rho, min_visual [B|1, H|1]: in selected rows every sink gives the share p of its weight to the visual keys that are no sinks.';

export const redistributeMap = mapForm(
  'SinkRedistribution',
  `${MAP_DOC} Selected: visual mass ≥ min_visual, share outside sinks ≥ rho.`,
  looks,
);

export const redistributeMapAsCode = mapForm(
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
