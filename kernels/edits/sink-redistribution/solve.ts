/** Visual attention redistribution in float64. */
import { probTransfer, type TransferRule } from '../../reference/prob-transfer.ts';
import { at, block, build, type Tensor } from '../../reference/tensor.ts';
import type { Solved, Solving } from '../edit.ts';
import type { Redistribution } from './options.ts';

/** Groups of keys; (B, H, S, 4) masses and weights are in this order. */
export const GROUPS = { other: 0, textSink: 1, visualSink: 2, visual: 3 } as const;

export function solveRedistribution(options: Redistribution, call: Solving, probs: Tensor): Solved {
  const [B, , , T] = probs.shape as [number, number, number, number];
  const [sink, visual] = [call.value('sink'), call.value('visual')];
  const groups = build([B, 1, 1, T], (b, _h, _s, t) => {
    const isVisual = at(visual, b!, t!) !== 0;
    if (at(sink, b!, t!) === 0) return isVisual ? GROUPS.visual : GROUPS.other;
    return isVisual ? GROUPS.visualSink : GROUPS.textSink;
  });
  const transfer = probTransfer(probs, groups, 4, redistributionRule(options, call, groups));
  return { value: transfer.probs, transfer };
}

/** In selected rows w = 1 − p on both groups of sinks, 1 + p m_sinks / m_visual on visual non-sinks, 1 on the others. */
export function redistributionRule(
  { semantics, rows }: Redistribution,
  { value, past }: Pick<Solving, 'value' | 'past'>,
  groups: Tensor,
): TransferRule {
  const [p, rho, least] = ['p', 'rho', 'min_visual'].map(value) as [Tensor, Tensor, Tensor];
  const B = groups.shape[0]!;
  const count = (...of: number[]) =>
    Array.from({ length: B }, (_, b) => block(groups, b).filter((group) => of.includes(group)).length);
  const { textSink, visualSink, visual } = GROUPS;
  const [sinks, visualSinks, visuals] = [
    count(textSink, visualSink),
    count(visualSink),
    count(visual, visualSink),
  ];
  const eligible = (b: number, s: number) =>
    rows === 'text' ? at(value('visual'), b, past + s) === 0 : past + s >= at(value('rows_from'), b);

  return (m, b, h, s) => {
    const [receiving, onVisualSinks] = [m[visual]!, m[visualSink]!];
    const looking = receiving + onVisualSinks;
    const untouched = [1, 1, 1, 1];
    if (!eligible(b, s) || looking < at(least, b, h) || receiving <= 0) return untouched;
    const apart = semantics === 'paper' ? asPrinted() : asReleased();
    if (!apart) return untouched;
    const [given, onSinks] = [at(p, b, h), m[textSink]! + onVisualSinks];
    return [1, 1 - given, 1 - given, 1 + (given * onSinks) / receiving];

    function asPrinted(): boolean {
      return sinks[b]! > 0 && receiving / looking >= at(rho, b, h);
    }

    /** The repository adds 1e-6 per visual token to the denominator and compares the sinks' share. */
    function asReleased(): boolean {
      const share = onVisualSinks / (looking + 1e-6 * visuals[b]!);
      return visualSinks[b]! > 0 && share <= 1 - at(rho, b, h);
    }
  };
}
