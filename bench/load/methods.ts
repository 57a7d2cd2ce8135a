/** What is compiled in while loading is timed: every kind that changes the graph, with the graphs it has. */

import { compile, type Plan } from '../../hooks/compile/index.ts';
import { type InterventionKind, type ModelFacts, modelFacts, type Variant } from '../../hooks/model/index.ts';
import {
  act,
  headScale,
  imbalancedAttention,
  pine,
  tempScale,
  vhr,
  visualRedistribution,
  zeroTuning,
} from '../../interventions/index.ts';
import { openModel } from '../../onnx/index.ts';

export interface Method {
  readonly name: string;
  readonly kind: InterventionKind | undefined;
  /** Which of the kind's graphs; default the one its default parameters have. */
  readonly variant?: Variant;
}

export const METHODS: readonly Method[] = [
  { name: 'nothing', kind: undefined },
  { name: 'head scale', kind: headScale.kind },
  { name: 'temperature', kind: tempScale.kind },
  { name: 'ZeroTuning', kind: zeroTuning.kind },
  { name: 'imbalanced attention', kind: imbalancedAttention.kind },
  { name: 'VHR', kind: vhr.kind },
  { name: 'VAR', kind: visualRedistribution.kind },
  { name: 'ACT', kind: act.kind },
  { name: 'ACT, sinks kept', kind: act.kind, variant: { statistics: 'frozen', exclude: 'initial' } },
  { name: 'PINE, 2 documents', kind: pine.kind, variant: { mode: 'pine', documents: 3 } },
  { name: 'PINE, 10 documents', kind: pine.kind, variant: { mode: 'pine', documents: 10 } },
];

/** Of a decoder that might be that of a vision-language model: methods for images apply. */
export async function factsOf(from: string | Uint8Array): Promise<ModelFacts> {
  return modelFacts(await openModel(from), { image_token_id: 0 });
}

export function planOf({ kind, variant }: Method, facts: ModelFacts): Plan {
  return kind?.plan(facts, variant ?? kind.variant?.(undefined)) ?? {};
}

export const compiledFor = (method: Method, facts: ModelFacts) =>
  compile(facts.recognition, planOf(method, facts));
