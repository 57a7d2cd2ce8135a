/**
 * Families whose cases are runs under an intervention: logits of the last prompt token, mean loss of the prompt,
 * greedy continuation with a KV cache.
 */
import { z } from 'zod';
import type { Intervention, InterventionKind } from '../../../hooks/model/index.ts';
import { act, headAblation, headScale, tempScale, zeroTuning } from '../../../interventions/index.ts';
import { type Comparison, defineFamily, type Family } from '../family.ts';
import { type Golden, greedy, tensor, vector } from '../golden.ts';
import { greedyDifferences, lastLogits, maxAbsError, meanNll } from '../measure.ts';
import { batchOf, type Subject } from '../subject.ts';

/** What every run has. */
export const run = z.object({
  prompt: z.string(),
  last_logits: tensor(vector),
  mean_nll: z.number(),
  greedy,
});
export type Run = z.output<typeof run>;

/** The three quantities of a run, under the interventions in force. */
export async function compareRun(name: string, expected: Run, subject: Subject): Promise<Comparison[]> {
  const ids = subject.prompt(expected.prompt);
  const batch = batchOf([ids]);
  const logits = await subject.logits(batch);
  const [tokens] = await subject.greedy(batch, expected.greedy.ids.length);
  return [
    {
      case: `${name} last_logits`,
      maxAbsError: maxAbsError(lastLogits(logits), expected.last_logits.data),
      tolerance: subject.tolerance('last_logits'),
    },
    {
      case: `${name} mean_nll`,
      maxAbsError: Math.abs(meanNll(logits, ids) - expected.mean_nll),
      tolerance: subject.tolerance('mean_nll'),
    },
    { case: `${name} greedy`, maxAbsError: greedyDifferences(tokens!, expected.greedy), tolerance: 0 },
  ];
}

interface Steering<C extends Run> {
  readonly name: string;
  readonly kind: InterventionKind;
  readonly schema: z.ZodType<C>;
  label(kase: C): string;
  specification(kase: C, settings: Golden['settings']): Intervention;
}

function steered<C extends Run>({ name, kind, schema, label, specification }: Steering<C>): Family {
  return defineFamily({
    name,
    kinds: [kind],
    schema: z.array(schema),
    async *compare(cases, subject) {
      for (const kase of cases) {
        const steering = specification(kase, subject.golden.settings);
        yield* await subject.under([steering], () =>
          compareRun(`${label(kase)} ${kase.prompt}`, kase, subject),
        );
      }
    },
  });
}

const zeroTuningFamily = steered({
  name: 'zerotuning',
  kind: zeroTuning.kind,
  schema: run.extend({ gamma_table: z.string(), tokens: z.tuple([z.int(), z.int()]) }),
  label: ({ gamma_table, tokens: [start, end] }) => `γ ${gamma_table} on [${start}, ${end})`,
  specification: ({ gamma_table, tokens }, { gamma_tables }) =>
    zeroTuning({ gamma: gamma_tables[gamma_table]!.data, tokens }),
});

const actFamily = steered({
  name: 'act',
  kind: act.kind,
  schema: run.extend({
    mode: z.enum(['relative', 'absolute']),
    value: z.number(),
    stats: z.enum(['running', 'frozen']),
    beta: z.number(),
  }),
  label: ({ mode, value, stats }) => `${mode} ${value}, ${stats}`,
  specification: ({ mode, value, stats, beta }, { act_heads }) =>
    act({
      beta,
      heads: act_heads,
      threshold: mode === 'relative' ? { alpha: value } : { tau: value },
      statistics: stats,
    }),
});

const headScaleFamily = steered({
  name: 'head_scale',
  kind: headScale.kind,
  schema: run.extend({ factor: z.number() }),
  label: ({ factor }) => `× ${factor}`,
  specification: ({ factor }, { scale_heads }) => headScale({ scale: factor, heads: scale_heads }),
});

const tempScaleFamily = steered({
  name: 'tempscale',
  kind: tempScale.kind,
  schema: run.extend({ temperature: z.number() }),
  label: ({ temperature }) => `τ ${temperature}`,
  specification: ({ temperature }) => tempScale({ temperature }),
});

const headAblationFamily = defineFamily({
  name: 'head_ablation',
  kinds: [headAblation.kind],
  schema: z.array(run.extend({ kind: z.enum(['zero', 'uniform']), relative_influence: z.number() })),
  async *compare(cases, subject) {
    for (const kase of cases) {
      const ids = subject.prompt(kase.prompt);
      const loss = async () => meanNll(await subject.logits(batchOf([ids])), ids);
      const base = await loss();
      const heads = subject.golden.settings.ablate_heads;
      yield* await subject.under([headAblation({ heads, kind: kase.kind })], async () => {
        const name = `${kase.kind} ${kase.prompt}`;
        const influence = ((await loss()) - base) / base;
        return [
          ...(await compareRun(name, kase, subject)),
          {
            case: `${name} relative_influence`,
            maxAbsError: Math.abs(influence - kase.relative_influence),
            tolerance: subject.tolerance('relative_influence'),
          },
        ];
      });
    }
  },
});

export const STEERED = [zeroTuningFamily, actFamily, headScaleFamily, headAblationFamily, tempScaleFamily];
