/** The items an intervention changed, from wrong to right and back, with prompt, options and log-likelihoods. */

import { metrics } from '../metrics/index.ts';
import { type Item, outputRow, promptOf } from '../outputs/index.ts';
import type { Change, Changes } from './changes.ts';
import { html, Markup } from './markup.ts';
import { sharesTasks, shortNames } from './model-names.ts';

/** Items shown for each direction (of answers, of texts that got better or worse). */
const MOST_ANSWERS = 100;
const MOST_TEXTS = 10;

export function itemBrowser(changes: readonly Changes[]): Markup {
  return html`<input type="search" placeholder="Search prompts, options and answers" aria-label="Search items" id="find">
${changes.map(({ task, intervention, model, metric, gained, lost }) => {
  const { binary } = metrics[metric];
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
${outputRow(item.output).show(item, { before, after, intervention })}</details>`;
}

/** The last words before the answer: the question, in most prompts. */
function gist(item: Item): string {
  const whole = promptOf(item).context || (outputRow(item.output).title?.(item) ?? '');
  const text = whole.replace(/\s+/g, ' ').trim();
  return text.length > 110 ? `…${text.slice(-110)}` : text;
}
