/** Controls for the two sets that most methods share: layers, and query heads. */
import { html, nothing, type TemplateResult } from 'lit-html';
import { live } from 'lit-html/directives/live.js';

/** Layers and query heads of the model that the controls are for. */
export interface Shape {
  readonly layers: number;
  readonly heads: number;
}

type Pair = readonly [layer: number, head: number];
export type HeadChoice = 'all' | readonly number[] | readonly Pair[];

const SOME = 'chosen';

function words(
  id: string,
  all: readonly string[],
  value: string,
  set: (word: string) => void,
): TemplateResult {
  return html`<select id=${id} aria-describedby=${`${id}-help`} .value=${live(value)}
    @change=${(event: Event) => set((event.target as HTMLSelectElement).value)}>
    ${all.map((word) => html`<option ?selected=${word === value}>${word}</option>`)}
  </select>`;
}

const chip = (name: string, short: string, on: boolean, toggle: () => void): TemplateResult =>
  html`<button type="button" class="chip" aria-pressed=${on} aria-label=${name} title=${name} @click=${toggle}>${short}</button>`;

/** @param value a word such as 'all', or indices */
export function layersField(
  id: string,
  value: string | readonly number[],
  known: readonly string[],
  { layers }: Shape,
  set: (value: unknown) => void,
): TemplateResult {
  const some = typeof value !== 'string';
  const chosen = some ? value : [];
  const toggle = (layer: number) => {
    const next = chosen.includes(layer) ? chosen.filter((one) => one !== layer) : [...chosen, layer];
    set(next.length === 0 ? known[0] : next.sort((a, b) => a - b));
  };
  return html`${words(id, [...known, SOME], some ? SOME : value, (word) =>
    set(word === SOME ? Array.from({ length: layers }, (_, layer) => layer) : word),
  )}${
    some
      ? html`<span class="chips" role="group" aria-label="Layers">${Array.from(
          { length: layers },
          (_, layer) => chip(`layer ${layer}`, String(layer), chosen.includes(layer), () => toggle(layer)),
        )}</span>`
      : nothing
  }`;
}

/** @param everywhere whether 'all' may be given, and heads of every layer; else pairs alone */
export function headsField(
  id: string,
  value: HeadChoice | undefined,
  everywhere: boolean,
  { layers, heads }: Shape,
  set: (value: unknown) => void,
): TemplateResult {
  const some = typeof value === 'object';
  const pairs = some ? asPairs(value, layers) : [];
  const has = (layer: number, head: number) => pairs.some(([l, h]) => l === layer && h === head);
  const toggle = (layer: number, head: number) => {
    const next = has(layer, head)
      ? pairs.filter(([l, h]) => l !== layer || h !== head)
      : [...pairs, [layer, head] as const];
    if (next.length > 0) set(next.sort((a, b) => a[0] - b[0] || a[1] - b[1]));
    else set(everywhere ? 'all' : undefined);
  };
  const grid = html`<span class="chips heads" role="group" aria-label="Heads, a row for each layer"
    style=${`--heads:${heads}`}>${Array.from({ length: layers * heads }, (_, i) => {
      const [layer, head] = [Math.floor(i / heads), i % heads];
      const short = `${layer}.${head}`;
      return chip(`${short}: layer ${layer}, head ${head}`, short, has(layer, head), () =>
        toggle(layer, head),
      );
    })}</span>`;
  if (!everywhere) return html`<span id=${id} class="grid-of-heads">${grid}</span>`;
  return html`${words(id, ['all', SOME], some ? SOME : 'all', (word) =>
    set(word === 'all' ? 'all' : [[layers - 1, 0]]),
  )}${some ? grid : nothing}`;
}

/** Heads named alone are meant in every layer. */
function asPairs(value: readonly number[] | readonly Pair[], layers: number): Pair[] {
  return (value as readonly (number | Pair)[]).flatMap((one) =>
    typeof one === 'number' ? Array.from({ length: layers }, (_, layer): Pair => [layer, one]) : [one],
  );
}
