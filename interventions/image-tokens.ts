/**
 * Which keys are image tokens, for kinds that treat them apart. A run's own are a knob, filled from its token ids;
 * those before it are carried from call to call, so that several images, images in any piece of a prompt and rows with
 * different images or none all come out right.
 */
import { AttuneError } from '../errors.ts';
import type { EditContext, Knob, KnobValue } from '../hooks/compile/index.ts';
import type { ModelFacts, RequestState, Span } from '../hooks/model/index.ts';
import type { Feeds } from '../hooks/session/index.ts';
import { DataType } from '../onnx/index.ts';

const HERE = 'attune.image.tokens';

/** float32 [B|1, S|1]: 1 at the image tokens of this run. */
export const imageKnob: Knob = {
  name: HERE,
  elemType: DataType.FLOAT,
  shape: [`${HERE}:rows`, `${HERE}:tokens`],
  neutral: { dims: [1, 1], data: new Float32Array(1) },
};

/**
 * Image tokens of this run, columns counted from its first.
 * @throws AttuneError IMAGE_SPANS_UNKNOWN for a run whose token ids did not pass through JavaScript
 */
export function spansOf(kind: string, { spansHere }: RequestState): readonly Span[] {
  if (spansHere) return spansHere;
  throw new AttuneError('IMAGE_SPANS_UNKNOWN', {
    at: kind,
    found: 'embeddings whose token ids were not seen',
    expected: 'input_ids, which say where the image stands',
    hint: 'Call the model or its generate() with input_ids; it embeds them itself.',
  });
}

/**
 * Values of imageKnob for a run: 1 at its image tokens. For a definition's `feed`.
 *
 * @example feed: (_spec, _model, request, feeds) => imageFeed('my-method', request, feeds)
 *
 * @throws AttuneError IMAGE_SPANS_UNKNOWN
 */
export function imageFeed(kind: string, request: RequestState, feeds: Feeds): Record<string, KnobValue> {
  const spans = spansOf(kind, request);
  if (spans.length === 0) return {};
  const [rows = 1, tokens = 1] = (feeds.inputs_embeds ?? feeds.input_ids)?.dims ?? [];
  const data = new Float32Array(rows * tokens);
  for (const { row, from, to } of spans) data.fill(1, row * tokens + from, row * tokens + to);
  return { [HERE]: { dims: [rows, tokens], data } };
}

/**
 * float32 [B, T], 1 at image tokens. Once per graph, whichever kinds ask; their plans `remember`.
 * @param rows value with the axes [B, S, …] of the run
 */
export function imageKeys(context: EditContext, rows: string): string {
  const { emit } = context;
  return context.once('image keys', () => {
    const here = imageHere(context, rows);
    const { past, keep } = context.carry('attune.image', 1);
    const all = emit.op('Concat', [past, here], 'image_keys', { axis: 2 });
    keep(all);
    return emit.reshape(all, [0, -1]);
  });
}

/** float32 [B, 1, S], 1 at this run's image tokens. @param rows as in imageKeys */
export function imageHere({ emit, once }: EditContext, rows: string): string {
  return once('image here', () => {
    const shape = emit.op('Concat', [emit.dim(rows, 0), emit.dim(rows, 1)], 'rows', { axis: 0 });
    return emit.reshape(emit.op('Expand', [HERE, shape], 'image_here'), [0, 1, -1]);
  });
}

/** bool, one element: whether any row has an image. */
export function anyImage(context: EditContext, rows: string): string {
  const { emit } = context;
  return context.once('any image', () => {
    const total = emit.op('ReduceSum', [imageKeys(context, rows), emit.ints(0, 1)], 'images', {
      keepdims: 0,
    });
    return emit.op('Greater', [total, emit.scalar(0)], 'any_image');
  });
}

/**
 * Refuses a model of text alone, for a definition's `plan`.
 *
 * @example refuseWithoutImages('my-method', model);
 *
 * @throws AttuneError INTERVENTION_REFUSED for a model that does not say which token stands for its image
 */
export function refuseWithoutImages(kind: string, { config }: ModelFacts): void {
  if (typeof (config.image_token_id ?? config.image_token_index) === 'number') return;
  throw new AttuneError('INTERVENTION_REFUSED', {
    at: kind,
    found: 'a configuration without image_token_id or image_token_index',
    expected: 'a vision-language model',
  });
}
