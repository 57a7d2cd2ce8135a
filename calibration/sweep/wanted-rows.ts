/** A sweep looks at the few positions that predict what is scored. */
import { type Compiled, type Knob, withLogitRows } from '../../hooks/compile/index.ts';
import { DataType, makeNode } from '../../onnx/index.ts';

/** int64 [n]: positions of a call whose logits come out, in this order. */
export const wantedRows: Knob = {
  name: 'attune.sweep.rows',
  elemType: DataType.INT64,
  shape: ['attune.sweep.rows:n'],
  neutral: { dims: [1], data: BigInt64Array.of(0n) },
};

/**
 * `logits` becomes [B, n, V].
 * @throws AttuneError LOGITS_MISSING
 */
export function withWantedRows({ model, knobs, ...compiled }: Compiled): Compiled {
  const { name, elemType, shape } = wantedRows;
  return {
    ...compiled,
    knobs: [...knobs, wantedRows],
    model: withLogitRows(model, {
      input: { name, elemType, shape },
      nodes: (value, output) => [
        makeNode('Gather', [value, name], [output], { name: `${name}/Gather`, attributes: { axis: 1 } }),
      ],
    }),
  };
}
