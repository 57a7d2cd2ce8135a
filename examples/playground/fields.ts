/** What is asked, by scene. */
import { html, type TemplateResult } from 'lit-html';
import { live } from 'lit-html/directives/live.js';
import type { App } from './app.ts';
import { documentList } from './documents.ts';
import { bring, isBrought } from './picture.ts';
import type { State } from './state.ts';

export function sceneFields(app: App): TemplateResult {
  return { text: textFields, documents: documentFields, picture: pictureFields }[app.state.scene](app);
}

const area = (id: string, label: string, rows: number, value: string, set: (text: string) => void) =>
  html`<label for=${id}>${label}</label>
    <textarea id=${id} rows=${rows} .value=${live(value)}
      @change=${(event: Event) => set((event.target as HTMLTextAreaElement).value)}></textarea>`;

const textFields = (app: App): TemplateResult =>
  area('prompt', 'Prompt', 7, app.state.prompt, (prompt) => app.change({ prompt }));

function documentFields(app: App): TemplateResult {
  const { pieces } = app.state;
  const set = (part: Partial<State['pieces']>) => app.change({ pieces: { ...pieces, ...part } });
  return html`${area('prefix', 'Before the documents', 1, pieces.prefix.replace(/\n$/, ''), (text) =>
    set({ prefix: `${text}\n` }),
  )}
    <p class="label">Documents</p>${documentList(app)}
    ${area('suffix', 'After them', 2, pieces.suffix, (suffix) => set({ suffix }))}
    ${area('answer', 'The answer to look for', 1, pieces.answer.trim(), (text) => set({ answer: ` ${text.trim()}` }))}`;
}

function pictureFields(app: App): TemplateResult {
  const { picture } = app.state;
  const set = (part: Partial<State['picture']>) => app.change({ picture: { ...picture, ...part } });
  const take = async (file: File | undefined) => {
    try {
      await bring(file);
      app.rebase();
    } catch (error) {
      app.problem = `This is no picture that the browser can read: ${(error as Error).message}`;
      app.change({});
    }
  };
  const another = (step: number) => {
    void bring(undefined);
    set({ number: (picture.number + step + 1000) % 1000 });
  };
  return html`<p class="label" id="picture-label">Picture</p>
    <div class="picture" role="group" aria-labelledby="picture-label"
      @dragover=${(event: DragEvent) => event.preventDefault()}
      @drop=${(event: DragEvent) => {
        event.preventDefault();
        void take(event.dataTransfer?.files[0]);
      }}>
      ${
        app.picture
          ? html`<img src=${app.picture} width="96" height="96" alt=${isBrought() ? 'your picture' : `picture ${picture.number}`} />`
          : html`<span class="blank"></span>`
      }
      <span>
        <button type="button" @click=${() => another(-1)} aria-label="Picture before">←</button>
        <output>${isBrought() ? 'yours' : `number ${picture.number}`}</output>
        <button type="button" @click=${() => another(1)} aria-label="Next picture">→</button>
        <label class="file">or your own <input type="file" accept="image/*" @change=${(event: Event) =>
          take((event.target as HTMLInputElement).files?.[0])} /></label>
      </span>
    </div>
    ${area('question', 'Question', 1, picture.prompt, (prompt) => set({ prompt }))}`;
}
