/** What a problem asks of a lowering: edits, and the values of their knobs. */
import { AttuneError } from '../../errors.ts';
import type { Edit } from '../edits/edit.ts';
import { headScale } from '../edits/head-scale.ts';
import { logWeights } from '../edits/log-weights.ts';
import { logitBias } from '../edits/logit-bias.ts';
import { logitGain } from '../edits/logit-gain.ts';
import { sinkCalibration } from '../edits/sink-calibration/index.ts';
import { sinkRedistribution } from '../edits/sink-redistribution.ts';
import { temperature } from '../edits/temperature.ts';
import type { Knob } from '../lowerings/lowered.ts';
import type { ActEdit, Problem, VarEdit } from '../problem.ts';
import { at, build, type Tensor, tensor } from '../reference/tensor.ts';
import { feed } from './feeds.ts';
import type { Feed } from './runner.ts';

/** What a problem's edit asks of the lowering: edits, and knob values by their local names. */
export interface Plan {
  readonly edits: readonly Edit[];
  readonly knobs: Readonly<Record<string, Tensor>>;
  /** (B|1, H|1, S, T), for a bias no knob can express. */
  readonly bias?: Tensor | undefined;
}

/** Feeds of a lowering's knobs, whose names start with the site's. */
export function knobFeeds(plan: Plan, knobs: readonly Knob[], site: string): Record<string, Feed> {
  return Object.fromEntries(
    knobs.map(({ name, elemType }) => {
      const value = plan.knobs[name.slice(site.length + 1)];
      if (!value) throw new AttuneError('KNOB_MISSING', { found: name });
      return [name, feed(value, elemType)];
    }),
  );
}

/** @throws AttuneError LOWERING_LACKS_EDIT for what no edit expresses */
export function planOf({ q, k, edit }: Problem): Plan {
  const [B, H, S] = q.shape as [number, number, number];
  const T = k.shape[2]!;
  switch (edit.kind) {
    case 'none':
      return { edits: [], knobs: {} };
    case 'heads':
      if (edit.direction) break;
      return { edits: [headScale.with()], knobs: { head_scale: edit.scale ?? tensor([1, 1], [1]) } };
    case 'logWeights': {
      const log_weight = tensor([1, H], edit.weight.map(logWeight));
      return { edits: [logWeights.with({ keys: 'given' })], knobs: { log_weight, keys: edit.keys } };
    }
    case 'logits': {
      const edits: Edit[] = [];
      const knobs: Record<string, Tensor> = {};
      if (edit.a) {
        edits.push(temperature.with());
        knobs.a = build([1, H], (_, h) => at(edit.a!, 0, h!, 0, 0));
      }
      if (edit.b) {
        edits.push(logitGain.with({ rows: edit.b.shape[2] === 1 && S > 1 ? 'all' : 'last' }));
        knobs.b = build([B, H, T], (b, h, t) => at(edit.b!, b!, h!, S - 1, t!));
      }
      if (edit.c && edit.c.shape[2] === 1) {
        edits.push(logitBias.with());
        knobs.key_bias = build([B, H, T], (b, h, t) => at(edit.c!, b!, h!, 0, t!));
        return { edits, knobs };
      }
      return { edits, knobs, bias: edit.c };
    }
    case 'act':
      return planAct(edit, H);
    case 'var':
      return planVar(edit, T - S);
  }
  throw new AttuneError('LOWERING_LACKS_EDIT', { found: edit.kind, at: 'expanded' });
}

function planAct(edit: ActEdit, H: number): Plan {
  const { threshold, stats } = edit;
  const knobs: Record<string, Tensor> = {
    beta: build([1, H], (_, h) => (edit.heads.includes(h!) ? edit.beta : 1)),
    tau: tensor([1, 1], [threshold.mode === 'absolute' ? threshold.tau : 0]),
    alpha: tensor([1, 1], [threshold.mode === 'relative' ? threshold.alpha : 0]),
    first: tensor([edit.first.length], edit.first),
  };
  if (edit.sinks) knobs.sinks = edit.sinks;
  return { edits: [sinkCalibration.with({ stats, exclude: edit.exclude })], knobs };
}

function planVar(edit: VarEdit, past: number): Plan {
  const [B, S] = edit.eligible.shape as [number, number];
  const scalar = (value: number) => tensor([1, 1], [value]);
  const knobs = {
    sink: edit.sink,
    visual: edit.visual,
    rows_from: build([B], (b) => {
      const first = [...Array(S).keys()].find((s) => at(edit.eligible, b!, s) !== 0);
      return past + (first ?? S);
    }),
    p: scalar(edit.p),
    rho: scalar(edit.rho),
    min_visual: scalar(edit.minVisual),
  };
  return { edits: [sinkRedistribution.with({ semantics: edit.semantics })], knobs };
}

/** ln w, and for w = 0 a bias that empties the key wherever another is visible. */
export function logWeight(weight: number): number {
  return weight > 0 ? Math.log(weight) : -200;
}
