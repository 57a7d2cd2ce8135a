/**
 * The token view itself, for a page of its own and for the playground: a map of every head, the text shaded by what a token looks
 * at, and the tokens that are looked at most. Plain DOM without imports, because a page carries these functions as text.
 */
import type { TokenView } from './data.ts';

/** What is looked at. */
export interface Chosen {
  layer: number;
  /** −1: the mean over heads. */
  head: number;
  query: number;
  pinned: boolean;
}

/** Probabilities by setting: [layers, heads, S, S]. */
type Patterns = readonly Float32Array[];

/** @param kept what was chosen before; kept up to date */
export function tokenView(
  root: HTMLElement,
  view: TokenView,
  kept: Partial<Chosen> = {},
  changed: (chosen: Chosen) => void = () => {},
): void {
  const last = { layer: view.layers - 1, head: -1, query: view.tokens.length - 1, pinned: false };
  const chosen: Chosen = Object.assign(kept, {
    layer: Math.min(kept.layer ?? last.layer, last.layer),
    head: Math.min(kept.head ?? last.head, view.heads - 1),
    query: Math.min(kept.query ?? last.query, last.query),
    pinned: kept.pinned ?? last.pinned,
  });
  const patterns = patternsOf(view);
  const redraw: (() => void)[] = [];
  const draw = () => {
    for (const one of redraw) one();
    changed(chosen);
  };
  const heads = element('div', {}, headGrid(view, patterns, chosen, redraw, draw));
  const texts = element(
    'div',
    {},
    readout(view, chosen, redraw),
    ...view.settings.map((_, setting) => shadedText(view, patterns, setting, chosen, redraw, draw)),
    sinkTable(view, patterns, chosen, redraw),
  );
  root.replaceChildren(element('div', { class: 'tv' }, heads, texts));
  draw();
}

/** Probabilities of each setting: [layers, heads, S, S]. */
export function patternsOf(view: TokenView): Float32Array[] {
  return view.settings.map(({ pattern }) =>
    Float32Array.from(atob(pattern), (letter) => (letter.charCodeAt(0) / 255) ** 2),
  );
}

/** An element with attributes and children. */
export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A token in a sentence: without its space, and by a sign where nothing is to be seen. */
export function plainToken(token: string): string {
  return token.replace(/\n/g, '⏎').trim() || (token === '' ? '∅' : '␣');
}

/** Probability that query `query` gives to key `key`, in one head or on average over a layer's. */
export function attention(
  view: TokenView,
  pattern: Float32Array,
  { layer, head }: Pick<Chosen, 'layer' | 'head'>,
  query: number,
  key: number,
): number {
  const S = view.tokens.length;
  const at = (h: number) => pattern[((layer * view.heads + h) * S + query) * S + key]!;
  if (head >= 0) return at(head);
  let sum = 0;
  for (let h = 0; h < view.heads; h++) sum += at(h);
  return sum / view.heads;
}

/** A small picture of every head: rows are layers, the first column is the mean. */
export function headGrid(
  view: TokenView,
  patterns: Patterns,
  chosen: Chosen,
  redraw: (() => void)[],
  draw: () => void,
): HTMLElement {
  const grid = element('div', { class: 'tv-grid', role: 'group', 'aria-label': 'Heads' });
  grid.style.setProperty('--heads', String(view.heads + 1));
  const shown = patterns.length - 1;
  for (let head = -1; head < view.heads; head++) {
    grid.append(element('span', { 'aria-hidden': 'true' }, head < 0 ? 'mean' : `head ${head}`));
  }
  for (let layer = 0; layer < view.layers; layer++) {
    for (let head = -1; head < view.heads; head++) {
      const name = `layer ${layer}, ${head < 0 ? 'mean of its heads' : `head ${head}`}`;
      const button = element('button', { type: 'button', title: name, 'aria-label': name });
      button.append(thumbnail(view, patterns[shown]!, patterns[0]!, { layer, head }));
      button.onclick = () => {
        Object.assign(chosen, { layer, head });
        draw();
      };
      button.onkeydown = ({ key }) => {
        const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -view.heads - 1, ArrowDown: view.heads + 1 }[
          key
        ];
        if (step === undefined) return;
        const other = grid.querySelectorAll('button')[layer * (view.heads + 1) + head + 1 + step];
        other?.focus();
        other?.click();
      };
      redraw.push(() => {
        button.setAttribute('aria-pressed', String(chosen.layer === layer && chosen.head === head));
      });
      grid.append(button);
    }
  }
  return grid;
}

/** Rows are queries, columns keys. Blue is attention, orange what is less than in the baseline. */
export function thumbnail(
  view: TokenView,
  pattern: Float32Array,
  baseline: Float32Array,
  head: Pick<Chosen, 'layer' | 'head'>,
): HTMLCanvasElement {
  const S = view.tokens.length;
  const canvas = element('canvas', { width: String(S), height: String(S), 'aria-hidden': 'true' });
  const context = canvas.getContext('2d');
  const image = context?.createImageData(S, S);
  if (!context || !image) return canvas;
  for (let query = 0; query < S; query++) {
    for (let key = 0; key <= query; key++) {
      const p = attention(view, pattern, head, query, key);
      const lost = attention(view, baseline, head, query, key) - p;
      const colour = lost > 0.05 ? [213, 94, 0] : [0, 114, 178];
      image.data.set([...colour, 255 * Math.sqrt(Math.max(p, lost))], 4 * (query * S + key));
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Which head and which token, in words. */
export function readout(view: TokenView, chosen: Chosen, redraw: (() => void)[]): HTMLElement {
  const line = element('p', { class: 'tv-readout', 'aria-live': 'polite' });
  redraw.push(() => {
    const head = chosen.head < 0 ? 'mean of its heads' : `head ${chosen.head}`;
    line.replaceChildren(
      element('b', {}, `Layer ${chosen.layer}, ${head}`),
      `: what “${plainToken(view.tokens[chosen.query]!)}” (token ${chosen.query}) looks at${chosen.pinned ? ', held' : ''}`,
    );
  });
  return line;
}

/** The prompt under one setting, each token shaded by the attention it gets from the chosen one. */
export function shadedText(
  view: TokenView,
  patterns: Patterns,
  setting: number,
  chosen: Chosen,
  redraw: (() => void)[],
  draw: () => void,
): HTMLElement {
  const { label, next } = view.settings[setting]!;
  const text = element('div', { class: 'tv-text', role: 'group', 'aria-label': `Tokens, ${label}` });
  view.tokens.forEach((token, index) => {
    const button = element('button', { type: 'button', class: 'tv-token' }, token.replace(/\n/g, '⏎') || '∅');
    const look = () => {
      if (chosen.pinned) return;
      chosen.query = index;
      draw();
    };
    button.onmouseenter = look;
    button.onfocus = look;
    button.onclick = () => {
      chosen.pinned = !(chosen.pinned && chosen.query === index);
      chosen.query = index;
      draw();
    };
    redraw.push(() => {
      const p = index <= chosen.query ? attention(view, patterns[setting]!, chosen, chosen.query, index) : 0;
      button.style.setProperty('--p', `${Math.round(100 * Math.sqrt(p))}%`);
      button.title = `${(100 * p).toFixed(1)} %`;
      button.classList.toggle('tv-query', index === chosen.query);
    });
    text.append(button);
    if (token.endsWith('\n')) text.append(element('br'));
  });
  const answers = next.map(([word, p]) => `${plainToken(word)} ${(100 * p).toFixed(1)} %`).join(' · ');
  return element(
    'section',
    { class: 'tv-setting' },
    element('h3', {}, label),
    text,
    element('p', { class: 'tv-next' }, `Next: ${answers}`),
  );
}

/** Tokens that later ones look at most in the chosen head: attention sinks stand first. */
export function sinkTable(
  view: TokenView,
  patterns: Patterns,
  chosen: Chosen,
  redraw: (() => void)[],
): HTMLElement {
  const body = element('tbody');
  const heads = view.settings.map(({ label }) => element('th', { scope: 'col' }, label));
  redraw.push(() => {
    const S = view.tokens.length;
    const received = patterns.map((pattern) =>
      view.tokens.map((_, key) => {
        let sum = 0;
        for (let query = key + 1; query < S; query++) sum += attention(view, pattern, chosen, query, key);
        return key + 1 < S ? sum / (S - key - 1) : 0;
      }),
    );
    const order = view.tokens.map((_, key) => key).sort((a, b) => received[0]![b]! - received[0]![a]!);
    body.replaceChildren(
      ...order.slice(0, 6).map((key) => {
        const cells = received.map((all) => {
          const bar = element('span', { class: 'tv-bar' });
          bar.style.setProperty('--p', `${100 * all[key]!}%`);
          return element('td', {}, `${(100 * all[key]!).toFixed(1)} %`, bar);
        });
        return element(
          'tr',
          {},
          element('th', { scope: 'row' }, `${key} ${plainToken(view.tokens[key]!)}`),
          ...cells,
        );
      }),
    );
  });
  return element(
    'table',
    { class: 'tv-sinks' },
    element('caption', {}, 'Looked at most by the tokens after it'),
    element('thead', {}, element('tr', {}, element('th', { scope: 'col' }, 'token'), ...heads)),
    body,
  );
}

/** The functions that a page carries. */
export const VIEW_FUNCTIONS = [
  tokenView,
  patternsOf,
  element,
  plainToken,
  attention,
  headGrid,
  thumbnail,
  readout,
  shadedText,
  sinkTable,
] as const;
