/** Documents that change places: dragged, by buttons, or with Alt and the arrow keys. */
import { html, type TemplateResult } from 'lit-html';
import { live } from 'lit-html/directives/live.js';
import type { App } from './app.ts';
import type { Pieces } from './state.ts';

export const documentLetters = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => String.fromCharCode(65 + i));

/** A list with the member of one place put at another. */
export function moved<T>(list: readonly T[], from: number, to: number): T[] {
  const rest = list.filter((_, i) => i !== from);
  return [...rest.slice(0, to), list[from]!, ...rest.slice(to)];
}

/** Where a drag began. */
let dragged: number | undefined;

export function documentList(app: App): TemplateResult {
  const { pieces } = app.state;
  const { documents } = pieces;
  const set = (part: Partial<Pieces>) => app.change({ pieces: { ...pieces, ...part } });
  const move = (from: number, to: number) => {
    if (to < 0 || to >= documents.length || from === to) return;
    set({ documents: moved(documents, from, to) });
    requestAnimationFrame(() => document.getElementById(`document-${to}`)?.focus());
  };
  const letters = documentLetters(documents.length);
  return html`<ol class="documents" aria-label="Documents; Alt and the arrow keys move one">${documents.map(
    (text, place) => html`<li draggable="true"
      @dragstart=${() => {
        dragged = place;
      }}
      @dragover=${(event: DragEvent) => event.preventDefault()}
      @drop=${(event: DragEvent) => {
        event.preventDefault();
        if (dragged !== undefined) move(dragged, place);
        dragged = undefined;
      }}>
      <span class="handle" aria-hidden="true">${letters[place]}</span>
      <textarea rows="1" id=${`document-${place}`} aria-label=${`Document ${letters[place]}`} .value=${live(text.replace(/\n$/, ''))}
        @keydown=${(event: KeyboardEvent) => {
          const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
          if (!event.altKey || step === undefined) return;
          event.preventDefault();
          move(place, place + step);
        }}
        @change=${(event: Event) => {
          const value = `${(event.target as HTMLTextAreaElement).value.replace(/\n$/, '')}\n`;
          set({ documents: documents.map((one, i) => (i === place ? value : one)) });
        }}></textarea>
      <button type="button" aria-label=${`Move document ${letters[place]} up`} ?disabled=${place === 0}
        @click=${() => move(place, place - 1)}>↑</button>
      <button type="button" aria-label=${`Move document ${letters[place]} down`} ?disabled=${place === documents.length - 1}
        @click=${() => move(place, place + 1)}>↓</button>
      <button type="button" aria-label=${`Remove document ${letters[place]}`} ?disabled=${documents.length === 1}
        @click=${() => set({ documents: documents.filter((_, i) => i !== place) })}>×</button>
    </li>`,
  )}</ol>
  <p class="keep"><button type="button" ?disabled=${documents.length >= 24}
    @click=${() => set({ documents: [...documents, '- Tessa Lane lives in Dray.\n'] })}>Add a document</button></p>`;
}
