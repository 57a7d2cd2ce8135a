/** The way of q, k or v (heads.ts) as the named stages of a site. */
import { type HeadPath, placeOf, type Step } from './heads.ts';
import type { Stages } from './site.ts';

export function stagesOf(path: HeadPath): Stages {
  const forward = [...path.steps].reverse();
  const last = (made: Step['made']) => forward.findLast((step) => step.made === made);
  const split = forward.findIndex((step) => isSplit(step));
  const beyond = forward.findIndex(({ made }) => !PROJECTED.has(made) && made !== 'given');
  const ends = [split, beyond].filter((at) => at >= 0);
  const proj = forward.slice(0, Math.min(forward.length, ...ends)).findLast(isMerged);
  // Heads that are split only after a rotation or norm over all of them are no hook_q.
  const changedBefore = forward
    .slice(0, Math.max(split, 0))
    .some(({ made }) => made === 'rotary' || made === 'norm');
  const heads = split < 0 || changedBefore ? undefined : headsStep(forward, split);
  const normed = namedFrom(
    forward,
    forward.findIndex((step) => step.made === 'norm'),
  );
  const rotated = last('rotary');
  const turn = rotated ? forward.indexOf(rotated) : -1;
  const withPast = last('cache');
  const repeated = path.steps.find((step) => step.made === 'repeat');
  return {
    packed: path.packed,
    proj: placeOf(proj),
    heads: placeOf(heads),
    normed: placeOf(normed),
    unrotated: turn > 0 ? placeOf(forward[turn - 1]) : undefined,
    rotated: placeOf(rotated),
    withPast: placeOf(withPast),
    repeated: placeOf(repeated),
    final: placeOf(withPast ?? rotated ?? normed ?? heads),
    operand: placeOf(path.steps[0]),
  };
}

/** The step, or the first view of it that has a layout with a name. */
function namedFrom(forward: readonly Step[], start: number): Step | undefined {
  if (start < 0) return undefined;
  for (let at = start; at < forward.length && (at === start || forward[at]!.made === 'view'); at++) {
    if (placeOf(forward[at])) return forward[at];
  }
  return undefined;
}

/** Heads and channels on axes of their own. */
function isSplit({ axes }: Step): boolean {
  return ['H', 'D'].every((letter) => axes?.includes(letter)) && !axes?.includes('');
}

/** What a projection result may have been through and still be one, before the head split. */
const PROJECTED: ReadonlySet<Step['made']> = new Set(['projection', 'bias', 'unpacked', 'view']);

/** A projection result with bias, before scale and head split. */
function isMerged(step: Step): boolean {
  return PROJECTED.has(step.made) && (step.axes?.some((letters) => letters.endsWith('HD')) ?? false);
}

/** The head split and the Transpose that goes with it, as long as nothing else comes between. */
function headsStep(forward: readonly Step[], split: number): Step {
  let at = split;
  const positionsFirst = (step: Step) => step.axes!.indexOf('S') < step.axes!.indexOf('H');
  while (at + 1 < forward.length && positionsFirst(forward[at]!)) {
    const next = forward[at + 1]!;
    if (next.made !== 'view' || !isSplit(next)) break;
    at++;
  }
  return positionsFirst(forward[at]!) ? forward[split]! : forward[at]!;
}
