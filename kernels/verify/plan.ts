/** What a problem asks of a lowering: edits, and the values of their knobs and states. */
import { AttuneError } from '../../errors.ts';
import type { Edit } from '../edits/edit.ts';
import type { Knob, State } from '../lowerings/lowered.ts';
import type { Problem } from '../problem.ts';
import { type Tensor, tensor } from '../reference/tensor.ts';
import { feed } from './feeds.ts';
import type { Feed } from './runner.ts';

export interface Plan {
  readonly edits: readonly Edit[];
  /** By local name; knobs that several edits have, such as the first real token, are one. */
  readonly values: Readonly<Record<string, Tensor>>;
}

export function planOf({ edits = [] }: Problem): Plan {
  return {
    edits: edits.map(({ edit }) => edit),
    values: Object.assign({}, ...edits.map(({ values }) => values)),
  };
}

/** Feeds of a lowering's knobs, whose names start with the site's. */
export function knobFeeds({ values }: Plan, knobs: readonly Knob[], site: string): Record<string, Feed> {
  return Object.fromEntries(
    knobs.map(({ name, elemType }) => {
      const value = values[name.slice(site.length + 1)];
      if (!value) throw new AttuneError('KNOB_MISSING', { found: name });
      return [name, feed(value, elemType)];
    }),
  );
}

/** Feeds of its states: what the problem gives, or the start of a sequence. @param B rows of the batch */
export function stateFeeds(
  { values }: Plan,
  states: readonly State[],
  site: string,
  B: number,
): Record<string, Feed> {
  return Object.fromEntries(
    states.map(({ input, shape }) => {
      const known = values[input.slice(site.length + 1)];
      return [input, feed(known ?? tensor([B, Number(shape[1]), 0], []))];
    }),
  );
}
