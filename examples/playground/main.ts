/** The playground: a prompt, a method with its knobs, what the model writes without and with it, and where it looks. */
import { html, render } from 'lit-html';
import { isAttuneError } from '../../errors.ts';
import type { TokenView } from '../../eval/reports/token-view/data.ts';
import { TOKEN_VIEW_STYLE } from '../../eval/reports/token-view/style.ts';
import { tokenView } from '../../eval/reports/token-view/view.ts';
import { interventionNamed } from '../../interventions/index.ts';
import { figureOf, pngOf, save } from './figure.ts';
import { knobs } from './knobs.ts';
import { generate, loadModel, look, type Model } from './model.ts';
import { hashOf, type State, stateOf } from './state.ts';

/** Methods for text that need nothing beside the prompt. */
const METHODS = ['zerotuning', 'act', 'temp-scale', 'head-scale'];

let state = stateOf(location.hash);
let model: Model | undefined;
let status = 'Loading the model…';
let problem = '';
let texts = { baseline: '', intervened: '' };
let view: TokenView | undefined;
/** The newest wish; what older ones still write is dropped. */
let wish = 0;

const app = document.getElementById('app')!;
document.head.append(Object.assign(document.createElement('style'), { textContent: TOKEN_VIEW_STYLE }));

function draw(): void {
  render(page(), app);
}

function page() {
  const { schema, reference } = interventionNamed(state.intervention);
  return html`<header><h1>attune playground</h1>
      <p>Change what attention does in a small language model, in this page. Nothing leaves it.</p></header>
    <main>
      <form @submit=${(event: Event) => event.preventDefault()}>
        <label>Prompt<textarea rows="7" .value=${state.prompt}
          @change=${(event: Event) => change({ prompt: (event.target as HTMLTextAreaElement).value })}></textarea></label>
        <label>Method<select @change=${(event: Event) =>
          change({ intervention: (event.target as HTMLSelectElement).value, parameters: {} })}>
          ${METHODS.map((name) => html`<option ?selected=${name === state.intervention}>${name}</option>`)}</select></label>
        <p class="soft">${reference}</p>
        <fieldset><legend>Knobs</legend>${knobs(schema, state.parameters, (parameters) => change({ parameters }))}</fieldset>
        <p role="alert" class="problem">${problem}</p>
        <details><summary>As JSON</summary><code>${JSON.stringify({ intervention: state.intervention, ...state.parameters })}</code></details>
        <p><a href=${hashOf(state)}>Link to this</a> · <button type="button" ?disabled=${!view} @click=${saveSvg}>SVG</button>
          <button type="button" ?disabled=${!view} @click=${savePng}>PNG</button></p>
      </form>
      <div>
        <p role="status" class="soft">${status}</p>
        <div class="sides">
          <section><h2>Baseline</h2><p class="text">${texts.baseline}</p></section>
          <section><h2>${state.intervention}</h2><p class="text">${texts.intervened}</p></section>
        </div>
        <div id="view"></div>
      </div>
    </main>`;
}

function change(part: Partial<State>): void {
  state = { ...state, ...part };
  history.replaceState(undefined, '', hashOf(state));
  draw();
  void run();
}

async function run(): Promise<void> {
  if (!model) return;
  const own = ++wish;
  const current = () => own === wish;
  try {
    problem = '';
    const intervention = interventionNamed(state.intervention)(state.parameters);
    const { prompt } = state;
    texts = { baseline: '', intervened: '' };
    const write = (side: keyof typeof texts) => (piece: string) => {
      if (!current()) return;
      texts = { ...texts, [side]: texts[side] + piece };
      draw();
    };
    status = 'Generating…';
    draw();
    await generate(model, prompt, [], write('baseline'));
    if (!current()) return;
    await generate(model, prompt, [intervention], write('intervened'));
    if (!current()) return;
    status = 'Looking…';
    draw();
    const seen = await look(model, prompt, [intervention]);
    if (!current()) return;
    view = seen;
    status = `${view.tokens.length} tokens, ${view.layers} layers of ${view.heads} heads`;
    tokenView(document.getElementById('view')!, view);
  } catch (error) {
    if (!current()) return;
    problem = isAttuneError(error) ? error.message : String(error);
    status = '';
  }
  draw();
}

const saveSvg = () => save('attention.svg', new Blob([figureOf(view!)], { type: 'image/svg+xml' }));
const savePng = async () => save('attention.png', await pngOf(figureOf(view!)));

addEventListener('hashchange', () => {
  state = stateOf(location.hash);
  draw();
  void run();
});

draw();
loadModel().then(
  (loaded) => {
    model = loaded;
    return run();
  },
  (error: unknown) => {
    status = '';
    problem = `The model cannot be loaded: ${(error as Error).message}`;
    draw();
  },
);
