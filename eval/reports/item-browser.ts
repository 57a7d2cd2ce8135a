/** The items an intervention changed, from wrong to right and back, with prompt, options and log-likelihoods. */
import type { Row } from '../runner/row.ts';
import { metricKinds } from '../scoring/metrics.ts';
import type { Item } from '../tasks/item.ts';
import type { Change, Changes } from './changes.ts';
import { html, Markup } from './markup.ts';

/** Items shown for each direction (of answers, of texts that got better or worse), and characters of a text. */
const MOST_ANSWERS = 100;
const MOST_TEXTS = 10;
const MOST_CHARACTERS = 3000;

export function itemBrowser(changes: readonly Changes[]): Markup {
  return html`<input type="search" placeholder="Search prompts, options and answers" aria-label="Search items" id="find">
${changes.map(({ task, intervention, model, metric, gained, lost }) => {
  const { binary } = metricKinds[metric];
  const several = new Set(changes.map((change) => change.model)).size > 1;
  return html`<details><summary>${task}${several && `, ${model}`}, ${intervention}:
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
${body(item, before, after, intervention)}</details>`;
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
    case 'loglikelihood':
      return item.context;
    case 'loglikelihood_rolling':
      return item.text;
  }
}

function body(item: Item, before: Row, after: Row, intervention: string): Markup {
  const head = html`<thead><tr><th></th><th></th><th class="n">untouched</th><th class="n">${intervention}</th></tr></thead>`;
  const line = (mark: string, text: string, i: number) =>
    html`<tr><td>${mark}</td><td>${text}</td><td class="n">${nats(before, i)}</td><td class="n">${nats(after, i)}</td></tr>`;
  if (item.output === 'multiple_choice') {
    const shared = item.options.every(({ context }) => context === item.options[0]!.context);
    const mark = (i: number) =>
      [i === item.gold && 'right', i === before.prediction && 'untouched’s', i === after.prediction && 'new']
        .filter(Boolean)
        .join(', ');
    return html`${shared && pre(item.options[0]!.context)}<table>${head}<tbody>${item.options.map(
      (option, i) => line(mark(i), shared ? option.text : option.context + option.continuation, i),
    )}</tbody></table><p class="note">Log-likelihoods in nats; the largest is the answer.</p>`;
  }
  const text = item.output === 'loglikelihood' ? item.continuation : 'the whole text';
  return html`${pre(promptOf(item))}<table>${head}<tbody>${line('', text, 0)}</tbody></table>`;
}

const nats = ({ logLikelihoods }: Row, i: number): string => logLikelihoods[i]?.toFixed(3) ?? 'not finite';

function pre(text: string): Markup {
  if (text.trim() === '') return html``;
  const cut = text.length - MOST_CHARACTERS;
  return html`<pre>${cut > 0 && `[${cut} characters before]\n…`}${cut > 0 ? text.slice(cut) : text}</pre>`;
}
