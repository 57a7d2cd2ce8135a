/**
 * A different setting of one intervention in each row of a batch: a sweep over heads or strengths runs as one batch
 * of one session. Every knob has a settings axis first, so settings are stacked along it.
 */
import { AttuneError } from '../errors.ts';
import type { KnobValue } from '../hooks/compile/index.ts';
import { type Intervention, type InterventionKind, variantKey } from '../hooks/model/index.ts';
import { sha256 } from '../onnx/sha256.ts';

/**
 * One intervention for a batch, with a setting of its own for each row: a sweep runs as one batch of one session.
 *
 * @example model.use([eachRow([1, 1.2, 1.4].map((gamma) => zeroTuning({ gamma })))]); // a batch of three rows
 *
 * @param rows one specification per row of the batch that is run, all of one kind
 * @returns an intervention whose JSON lists its rows; it belongs to a batch, not to a file of settings
 * @throws AttuneError ROWS_DIFFER; when run, ROWS_MISMATCH if the batch has another number of rows
 */
export function eachRow(rows: readonly Intervention[]): Intervention {
  const [first] = rows;
  const other = rows.find(({ kind }) => kind !== first?.kind);
  if (!first || other) {
    throw new AttuneError('ROWS_DIFFER', {
      found: other ? `${first!.intervention} and ${other.intervention}` : 'no rows',
      expected: 'one or more settings of one intervention',
    });
  }
  const variants = new Set(rows.map((row) => variantKey(row.kind.variant?.(row))));
  if (variants.size > 1) {
    throw new AttuneError('ROWS_DIFFER', {
      found: `${first.intervention} in the forms ${[...variants].join(' and ')}, which need different graphs`,
      expected: 'settings of one form',
    });
  }
  const kind: InterventionKind = {
    ...first.kind,
    ...(first.kind.variant && { variant: () => first.kind.variant!(first) }),
    knobs: (_, model) => stack(rows.map((row) => row.kind.knobs(row, model))),
    feed: (_, model, request, feeds) => {
      const lead = feeds.input_ids ?? feeds.inputs_embeds;
      if (lead && lead.dims[0] !== rows.length) {
        throw new AttuneError('ROWS_MISMATCH', {
          found: `a batch of ${lead.dims[0]} rows`,
          expected: `${rows.length}, one for each setting of ${first.intervention}`,
        });
      }
      return stack(rows.map((row) => row.kind.feed?.(row, model, request, feeds) ?? {}));
    },
  };
  const hash = sha256(rows.map((row) => row.hash).join());
  const toJSON = () => ({ intervention: first.intervention, rows: rows.map((row) => row.toJSON()) });
  const spec = Object.freeze({ rows: Object.freeze(rows.map((row) => row.spec)) });
  return Object.freeze({ intervention: first.intervention, spec, hash, kind, toJSON });
}

type Values = Readonly<Record<string, KnobValue>>;

/** Values of each knob side by side on the first axis; where one row is broadcast over an axis, it is written out. */
function stack(rows: readonly Values[]): Values {
  return Object.fromEntries(
    Object.keys(rows[0]!).map((name) => {
      const values = rows.map((row) => row[name]!);
      const inner = values[0]!.dims.slice(1).map((_, axis) => {
        return Math.max(...values.map(({ dims }) => dims[axis + 1]!));
      });
      const size = inner.reduce((product, n) => product * n, 1);
      const Data = values[0]!.data.constructor as new (length: number) => KnobValue['data'];
      const data = new Data(rows.length * size);
      values.forEach((value, row) => {
        // What is fed from the request has all rows of the batch already: each setting takes its own.
        const own = value.dims[0] === rows.length ? (row * value.data.length) / rows.length : 0;
        for (let i = 0; i < size; i++) {
          const from = own + sourceIndex(i, value.dims.slice(1), inner);
          data.set(value.data.subarray(from, from + 1) as never, row * size + i);
        }
      });
      return [name, { dims: [rows.length, ...inner], data }];
    }),
  );
}

/** Index into a tensor of `dims` that broadcasts to `shape`, for index i of the latter; row-major. */
function sourceIndex(i: number, dims: readonly number[], shape: readonly number[]): number {
  let rest = i;
  let index = 0;
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (dims[axis] !== 1) index += (rest % shape[axis]!) * stride;
    rest = Math.floor(rest / shape[axis]!);
    stride *= dims[axis]!;
  }
  return index;
}
