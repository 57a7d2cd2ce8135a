/**
 * The two places where heads are multiplied: their outputs z before W_O, and their queries, which multiplies the
 * logits. Factors are knobs (head-knob.ts); 1 is exact.
 */
import { AttuneError } from '../errors.ts';
import type { Edit, EditContext } from '../hooks/compile/index.ts';
import type { ModelFacts } from '../hooks/model/index.ts';
import { DataType } from '../onnx/index.ts';
import type { Site } from '../sites/site.ts';
import { layerValues } from './head-knob.ts';

/** z ← factor · z in every layer, factors from `knob`. */
export function scaleOutputs({ decoder, points }: ModelFacts, knob: string): Edit[] {
  return decoder.map((site, layer) => ({
    kind: 'write',
    point: points.find((point) => point.kind === 'hook_z' && point.site === site)!,
    build: (context: EditContext, z: string) => {
      const { emit } = context;
      const factor = emit.reshape(layerValues(context, knob, layer), [0, 1, -1, 1]); // [settings,1,H|1,1]
      const half = site.elemType === DataType.FLOAT16 ? emit.cast(factor, DataType.FLOAT16) : factor;
      return emit.op('Mul', [z, half], 'scaled_z'); // [B,S,H,D]
    },
  }));
}

/** q ← factor · q in the given layers, factors from `knob`. */
export function scaleQueries(sites: readonly Site[], model: ModelFacts, knob: string): Edit[] {
  return sites.map((site) => ({
    kind: 'query-scale',
    site,
    build: (context: EditContext) => layerValues(context, knob, model.decoder.indexOf(site)),
  }));
}

/**
 * Why multiplying the queries does not multiply the logits of this model; undefined where it does.
 * Configurations: T5 (relative_attention_num_buckets), BLOOM, MPT and Falcon (ALiBi).
 */
export function logitsBeyondQueries({ config, decoder }: ModelFacts): string | undefined {
  const alibi = config.alibi === true || (config.attn_config as { alibi?: boolean } | undefined)?.alibi;
  if ('relative_attention_num_buckets' in config || alibi || config.model_type === 'bloom') {
    return 'a position bias is added to the product of queries and keys';
  }
  const sink = decoder.find(({ headSink }) => headSink !== undefined);
  return sink && `layer ${sink.layer} has a learned sink logit beside those of the keys`;
}

/** @throws AttuneError INTERVENTION_REFUSED */
export function refuse(intervention: string, reason: string | undefined): void {
  if (reason === undefined) return;
  throw new AttuneError('INTERVENTION_REFUSED', {
    at: intervention,
    found: reason,
    expected: 'logits that are queries times keys',
    hint: 'Another intervention may do; `attune inspect` shows the form of each layer.',
  });
}
