/** Pieces of what a reader is shown of an item: its prompt, its options with log-likelihoods, what was written. */
import { isRight } from '../metrics/outcomes.ts';
import { html, type Markup } from '../reports/markup.ts';
import type { Option } from '../tasks/item.ts';
import type { Shown, Sides } from './output.ts';

const MOST_CHARACTERS = 3000;

/** A text, its beginning cut off where it is long. */
export function passage(text: string): Markup {
  if (text.trim() === '') return html``;
  const cut = text.length - MOST_CHARACTERS;
  return html`<pre>${cut > 0 && `[${cut} characters before]\n…`}${cut > 0 ? text.slice(cut) : text}</pre>`;
}

export const LEGEND = html`<p class="note">Log-likelihoods in nats; the largest is the answer.</p>`;

/** @param at index of the first option's log-likelihood; predictions before and after. */
export function optionTable(
  question: { options: readonly Option[]; gold: number; right?: readonly number[] | undefined },
  sides: Sides,
  at: number,
  [before, after]: readonly (number | null | undefined)[],
): Markup {
  const { options } = question;
  const shared = options.every(({ context }) => context === options[0]!.context);
  const mark = (i: number) =>
    [isRight(question, i) && 'right', i === before && 'baseline’s', i === after && 'new']
      .filter(Boolean)
      .join(', ');
  const lines = options.map((option, i) =>
    optionLine([mark(i), shared ? option.text : option.context + option.continuation], sides, at + i),
  );
  return html`${shared && passage(options[0]!.context)}<table>${head(sides)}<tbody>${lines}</tbody></table>`;
}

/** One text with its log-likelihood on both sides. */
export const textTable = (text: string, sides: Sides): Markup =>
  html`<table>${head(sides)}<tbody>${optionLine(['', text], sides, 0)}</tbody></table>`;

const head = ({ intervention }: Sides): Markup =>
  html`<thead><tr><th></th><th></th><th class="n">baseline</th><th class="n">${intervention}</th></tr></thead>`;

const optionLine = ([mark, text]: [string, string], { before, after }: Sides, i: number): Markup =>
  html`<tr><td>${mark}</td><td>${text}</td><td class="n">${nats(before, i)}</td><td class="n">${nats(after, i)}</td></tr>`;

const nats = ({ logLikelihoods }: Shown, i: number): string => logLikelihoods[i]?.toFixed(3) ?? 'not finite';

/**
 * What was written on both sides.
 * @param what the head of the column of what `read` finds in an answer
 * @param right a line for what is right
 */
export function writtenTable(
  { before, after, intervention }: Sides,
  { what, read, right }: { what: string; read: (row: Shown) => string; right?: string },
): Markup {
  const line = (name: string, row: Shown) =>
    html`<tr><td>${name}</td><td>${read(row)}</td><td>${row.text}</td></tr>`;
  return html`<table><thead><tr><th></th><th>${what}</th><th>written</th></tr></thead><tbody>${
    right !== undefined &&
    html`
<tr><td>right</td><td>${right}</td><td></td></tr>`
  }${line('baseline', before)}${line(intervention, after)}</tbody></table>`;
}
