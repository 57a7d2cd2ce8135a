/** Which layers a setting touches: those above the first one are all that its row of a sweep has to compute. */
import type { Intervention, ModelFacts } from '../../hooks/model/index.ts';

/**
 * The first layer whose numbers in a knob differ from the neutral ones; the number of layers for a setting that is
 * neutral in all. Knobs on heads are [settings, L, heads | 1] (interventions/head-knob.ts); a kind without such a knob
 * is taken to begin at layer 0. A kind's other knobs (a span of tokens, a threshold) say how its layers are edited, not
 * which.
 */
export function firstLayer(setting: Intervention, model: ModelFacts): number {
  const L = model.decoder.length;
  const values = setting.kind.knobs(setting, model);
  const { knobs = [] } = setting.kind.plan(model, setting.kind.variant?.(setting));
  const layered = knobs.filter(({ shape }) => shape.length === 3 && shape[1] === L);
  if (layered.length === 0) return 0;
  const first = layered.map(({ name, neutral }) => {
    const { dims, data } = values[name] ?? neutral;
    const heads = dims[2]!;
    const baseline = neutral.data[0]!;
    const at = data.findIndex((value) => value !== baseline);
    return at === -1 ? L : Math.floor(at / heads) % L;
  });
  return Math.min(...first);
}
