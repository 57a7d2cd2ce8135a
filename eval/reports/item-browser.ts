/** The items an intervention changed, from wrong to right and back, with prompt, options and log-likelihoods. */

import { metricKinds } from '../metrics/index.ts';
import type { Row } from '../runner/row.ts';
import { type Item, isRight, type MultipleChoiceItem } from '../tasks/item.ts';
import type { Change, Changes } from './changes.ts';
import { html, Markup } from './markup.ts';
import { sharesTasks, shortNames } from './model-names.ts';

/** Items shown for each direction (of answers, of texts that got better or worse), and characters of a text. */
const MOST_ANSWERS = 100;
const MOST_TEXTS = 10;
const MOST_CHARACTERS = 3000;

export function itemBrowser(changes: readonly Changes[]): Markup {
  return html`<input type="search" placeholder="Search prompts, options and answers" aria-label="Search items" id="find">
${changes.map(({ task, intervention, model, metric, gained, lost }) => {
  const { binary } = metricKinds[metric];
  const several = sharesTasks(changes);
  const short = shortNames(changes.map((change) => change.model));
  return html`<details><summary>${task}${several && `, ${short(model)}`}, ${intervention}:
<span class="good">${gained.length} ${binary ? 'wrong → right' : 'better'}</span>, <span class="bad">${lost.length} ${binary ? 'right → wrong' : 'worse'}</span> <span class="soft">by ${metric}</span></summary>
${side(gained, binary ? 'From wrong to right' : 'Better, by most first', intervention, binary ? MOST_ANSWERS : MOST_TEXTS)}
${side(lost, binary ? 'From right to wrong' : 'Worse, by most first', intervention, binary ? MOST_ANSWERS : MOST_TEXTS)}</details>`;
})}
<script>${new Markup(SCRIPT)}</script>`;
}

/** Hides items without the text sought, and opens the lists that hold some. */
const SCRIPT = `
const find = document.getElementById('find');
find.addEventListener('input', () => {
  const sought = find.value.trim().toLowerCase();
  for (const item of document.querySelectorAll('.item')) {
    item.hidden = sought !== '' && !item.textContent.toLowerCase().includes(sought);
    if (sought !== '' && !item.hidden) item.parentElement.open = true;
  }
});
`;

function side(changes: readonly Change[], title: string, intervention: string, most: number): Markup {
  if (changes.length === 0) return html``;
  const more = changes.length - most;
  return html`<h3>${title}</h3>${changes.slice(0, most).map((change) => entry(change, intervention))}
${more > 0 && html`<p class="note">${more} more are in rows.jsonl.</p>`}`;
}

function entry({ item, before, after }: Change, intervention: string): Markup {
  return html`<details class="item"><summary>${gist(item)} <code>${item.id}</code></summary>
${body(item, { before, after, intervention })}</details>`;
}

/** The last words before the answer: the question, in most prompts. */
function gist(item: Item): string {
  const text = promptOf(item).replace(/\s+/g, ' ').trim();
  return text.length > 110 ? `…${text.slice(-110)}` : text;
}

function promptOf(item: Item): string {
  switch (item.output) {
    case 'multiple_choice':
      return item.options[0]!.context || item.options.map(({ text }) => text).join(' / ');
    case 'pairwise':
      return item.orders[0]!.options[0]!.context;
    case 'loglikelihood_rolling':
      return item.text;
    default:
      return item.context;
  }
}

interface Sides {
  before: Row;
  after: Row;
  intervention: string;
}

function body(item: Item, sides: Sides): Markup {
  switch (item.output) {
    case 'multiple_choice':
      return html`${choices(item, sides, 0, [sides.before.prediction, sides.after.prediction])}${LEGEND}`;
    case 'pairwise':
      return html`${item.orders.map((order, k) => {
        const verdicts = [sides.before, sides.after].map(({ verdicts }) => verdicts?.[k]);
        return html`<h3>${k === 0 ? 'As given' : 'Swapped'}</h3>${choices(order, sides, 2 * k, verdicts)}`;
      })}${LEGEND}`;
    case 'generate_until': {
      const { before, after, intervention } = sides;
      const line = (name: string, row: Row) =>
        html`<tr><td>${name}</td><td>${row.extracted ?? (row.unparsable ? 'none found' : '')}</td><td>${row.text}</td></tr>`;
      return html`${pre(item.context)}<table><thead><tr><th></th><th>answer</th><th>written</th></tr></thead><tbody>
<tr><td>right</td><td>${item.answers.join(' / ')}</td><td></td></tr>${line('untouched', before)}${line(intervention, after)}</tbody></table>`;
    }
    case 'yes_no':
    case 'caption': {
      const { before, after, intervention } = sides;
      const right = item.output === 'yes_no' ? (item.label ? 'yes' : 'no') : item.objects.join(', ');
      const found = (row: Row) => row.extracted ?? row.absent?.join(', ') ?? '';
      const line = (name: string, row: Row) =>
        html`<tr><td>${name}</td><td>${row.unparsable ? 'none found' : found(row)}</td><td>${row.text}</td></tr>`;
      const what = item.output === 'yes_no' ? 'answer' : 'not there';
      return html`${pre(item.context)}<p class="note">${item.picture && html`picture ${item.picture.name}; `}right: ${right}</p>
<table><thead><tr><th></th><th>${what}</th><th>written</th></tr></thead><tbody>${line('untouched', before)}${line(intervention, after)}</tbody></table>`;
    }
    default: {
      const text = item.output === 'loglikelihood' ? item.continuation : 'the whole text';
      return html`${pre(promptOf(item))}<table>${head(sides)}<tbody>${optionLine(['', text], sides, 0)}</tbody></table>`;
    }
  }
}

const LEGEND = html`<p class="note">Log-likelihoods in nats; the largest is the answer.</p>`;

/** @param at index of the first option's log-likelihood. */
function choices(
  choice: Pick<MultipleChoiceItem, 'options' | 'gold' | 'right'>,
  sides: Sides,
  at: number,
  [before, after]: (number | null | undefined)[],
): Markup {
  const { options } = choice;
  const shared = options.every(({ context }) => context === options[0]!.context);
  const mark = (i: number) =>
    [isRight(choice, i) && 'right', i === before && 'untouched’s', i === after && 'new']
      .filter(Boolean)
      .join(', ');
  const lines = options.map((option, i) =>
    optionLine([mark(i), shared ? option.text : option.context + option.continuation], sides, at + i),
  );
  return html`${shared && pre(options[0]!.context)}<table>${head(sides)}<tbody>${lines}</tbody></table>`;
}

const head = ({ intervention }: Sides): Markup =>
  html`<thead><tr><th></th><th></th><th class="n">untouched</th><th class="n">${intervention}</th></tr></thead>`;

const optionLine = ([mark, text]: [string, string], { before, after }: Sides, i: number): Markup =>
  html`<tr><td>${mark}</td><td>${text}</td><td class="n">${nats(before, i)}</td><td class="n">${nats(after, i)}</td></tr>`;

const nats = ({ logLikelihoods }: Row, i: number): string => logLikelihoods[i]?.toFixed(3) ?? 'not finite';

function pre(text: string): Markup {
  if (text.trim() === '') return html``;
  const cut = text.length - MOST_CHARACTERS;
  return html`<pre>${cut > 0 && `[${cut} characters before]\n…`}${cut > 0 ? text.slice(cut) : text}</pre>`;
}
