/**
 * Edits of the probabilities (G4): group masses by one small MatMul, a factor per group and row from the rule, and the
 * factors spread over the keys by another small MatMul. A row or head that is left alone gets exactly 1.
 */

import { primitive } from '../../../onnx/emitter.ts';
import { DataType } from '../../../onnx/index.ts';

/** β on the sinks, the rest grows in proportion. ACT. */
export const actTransfer = primitive(
  {
    name: 'ActTransfer',
    inputs: ['pattern', 'sinks', 'beta'],
    outputs: ['edited'],
    doc: 'pattern [B, H, S, T], sinks [B, H, T] of 0 and 1, beta [B|1, H]: sinks keep the share beta, other keys grow in proportion; beta 1 leaves a head alone.',
  },
  (emit) => {
    const sink = emit('Unsqueeze', ['sinks', emit.ints(3)]); // [B, H, T, 1]
    const rest = emit('Sub', [emit.float(1), sink]);
    const groups = emit('Concat', [sink, rest], { axis: 3 }); // [B, H, T, 2]
    const masses = emit('MatMul', ['pattern', groups]);
    const [onSinks, onRest] = emit.many(2, 'Split', [masses, emit.ints(1, 1)], { axis: 3 }) as [
      string,
      string,
    ];
    const beta = emit('Unsqueeze', ['beta', emit.ints(2, 3)]);
    const one = emit.float(1);
    const some = emit('Greater', [onRest, emit.float(0)]);
    const freed = emit('Mul', [emit('Sub', [one, beta]), onSinks]);
    const grown = emit('Div', [emit('Add', [onRest, freed]), emit('Where', [some, onRest, one])]);
    const weights = emit('Concat', [emit('Where', [some, beta, one]), emit('Where', [some, grown, one])], {
      axis: 3,
    }); // [B, H, S, 2]: β, λ
    const factor = emit('MatMul', [weights, emit('Transpose', [groups], { perm: [0, 1, 3, 2] })]);
    emit.as('edited', 'Mul', ['pattern', factor]);
  },
);

/**
 * ActTransfer on head outputs, from the few columns that are sinks: with λ on the rest, z' = λ(z − z_S) + β z_S. Where
 * sinks take nearly all, z − z_S is mostly rounding: `fit` says whether that is so in no row.
 */
export const actOutputs = primitive(
  {
    name: 'ActOutputs',
    inputs: ['z', 'on_sinks', 'z_sinks', 'total', 'beta'],
    outputs: ['edited', 'fit'],
    doc: 'z [B, H, S, E] and of it what comes from sinks, z_sinks; weight of all keys and of sinks, total and on_sinks [B|1, H|1, S|1, 1]; beta [B|1, H] → as ActTransfer would have it; fit: every row has an eighth of its weight outside sinks.',
  },
  (emit) => {
    const one = emit.float(1);
    const beta = emit('Unsqueeze', ['beta', emit.ints(2, 3)]);
    const rest = emit('Sub', ['total', 'on_sinks']);
    const fewest = emit.float(1 / 8);
    emit.as('fit', 'GreaterOrEqual', [emit('ReduceMin', [rest], { keepdims: 0 }), fewest]);
    const freed = emit('Mul', [emit('Sub', [one, beta]), 'on_sinks']);
    const growth = emit('Add', [emit('Div', [freed, emit('Max', [rest, fewest])]), one]); // λ
    const grown = emit('Mul', ['z', growth]);
    emit.as('edited', 'Sub', [grown, emit('Mul', ['z_sinks', emit('Sub', [growth, beta])])]);
  },
);

/** As ActTransfer where every row has sinks of its own. */
export const actTransferRows = primitive(
  {
    name: 'ActTransferRows',
    inputs: ['pattern', 'sinks', 'beta'],
    outputs: ['edited'],
    doc: 'As ActTransfer, sinks [B, H, S, T].',
  },
  (emit) => {
    const one = emit.float(1);
    const beta = emit('Unsqueeze', ['beta', emit.ints(2, 3)]);
    const own = emit('Mul', ['pattern', 'sinks']);
    const others = emit('Sub', ['pattern', own]);
    const onSinks = emit.reduce('ReduceSum', own, 3);
    const onRest = emit.reduce('ReduceSum', others, 3);
    // Of a row that sees nothing but sinks nothing can be moved.
    const kept = emit('Where', [emit('Greater', [onRest, emit.float(0)]), beta, one]);
    const ratio = emit('Div', [onSinks, emit('Max', [onRest, emit.float(1e-30)])]);
    const growth = emit('Add', [emit('Mul', [emit('Sub', [one, beta]), ratio]), one]);
    emit.as('edited', 'Add', [emit('Mul', [own, kept]), emit('Mul', [others, growth])]);
  },
);

const VAR_INPUTS = ['pattern', 'sink', 'visual', 'eligible', 'p', 'rho', 'min_visual'];
const VAR_DOC =
  'pattern [B, H, S, T]; sink, visual [B, T] of 0 and 1; eligible [B, S]; p, rho, min_visual [B|1, H|1]: in selected rows every sink gives the share p of its weight to the visual keys that are no sinks.';

/** VAR with the selection the paper describes. */
export const varTransfer = varForm(
  'paper',
  'VarTransfer',
  `${VAR_DOC} Selected: visual mass ≥ min_visual, share outside sinks ≥ rho.`,
);

/** VAR with the selection of the released code, rho and p as in the paper. */
export const varTransferCode = varForm(
  'code',
  'VarTransferCode',
  `${VAR_DOC} Selected as in the released code: share on sinks ≤ 1 - rho with 1e-6 per visual token in the denominator, only where a visual sink exists.`,
);

function varForm(semantics: 'paper' | 'code', name: string, doc: string) {
  return primitive({ name, inputs: VAR_INPUTS, outputs: ['edited'], doc }, (emit) => {
    const one = emit.float(1);
    const zero = emit.float(0);
    const column = (x: string) => emit('Unsqueeze', [x, emit.ints(1, 3)]); // [B, 1, T, 1]
    const perHead = (x: string) => emit('Unsqueeze', [x, emit.ints(2, 3)]);
    const [sink, visual] = [column('sink'), column('visual')];
    const receiver = emit('Mul', [visual, emit('Sub', [one, sink])]);
    const groups = emit('Concat', [receiver, sink, visual], { axis: 3 });
    const masses = emit('MatMul', ['pattern', groups]); // [B, H, S, 3]
    const [onReceivers, onSinks, onVisual] = emit.many(3, 'Split', [masses, emit.ints(1, 1, 1)], {
      axis: 3,
    }) as [string, string, string];
    const some = emit('Greater', [onReceivers, zero]);
    const looking = emit('GreaterOrEqual', [onVisual, perHead('min_visual')]);
    const nonZero = emit('Where', [emit('Greater', [onVisual, zero]), onVisual, one]);
    let apart: string;
    if (semantics === 'paper') {
      apart = emit('GreaterOrEqual', [emit('Div', [onReceivers, nonZero]), perHead('rho')]);
    } else {
      const tokens = emit.reduce('ReduceSum', visual, 2);
      const shared = emit('Add', [onVisual, emit('Mul', [tokens, emit.float(1e-6)])]);
      const share = emit('Div', [
        emit('Sub', [onVisual, onReceivers]),
        emit('Max', [shared, emit.float(1e-30)]),
      ]);
      const few = emit('LessOrEqual', [share, emit('Sub', [one, perHead('rho')])]);
      const any = emit('Greater', [emit.reduce('ReduceSum', emit('Mul', [visual, sink]), 2), zero]);
      apart = emit('And', [few, any]);
    }
    const rows = emit('Cast', [emit('Unsqueeze', ['eligible', emit.ints(1, 3)])], { to: DataType.BOOL });
    const selected = emit('And', [emit('And', [some, looking]), emit('And', [apart, rows])]);
    const gain = emit('Div', [emit('Mul', [perHead('p'), onSinks]), emit('Where', [some, onReceivers, one])]);
    const kept = emit('Sub', [one, perHead('p')]);
    const weights = emit(
      'Concat',
      [
        emit('Where', [selected, emit('Add', [one, gain]), one]),
        emit('Where', [selected, kept, one]),
        emit('Where', [selected, one, one]),
      ],
      { axis: 3 },
    ); // [B, H, S, 3]: factors of receivers, sinks and all others
    const others = emit('Sub', [emit('Sub', [one, receiver]), sink]);
    const parts = emit('Concat', [receiver, sink, others], { axis: 3 });
    const spread = emit('Transpose', [parts], { perm: [0, 1, 3, 2] });
    emit.as('edited', 'Mul', ['pattern', emit('MatMul', [weights, spread])]);
  });
}
