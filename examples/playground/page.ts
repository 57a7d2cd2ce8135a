/** The page: what is asked at the left, what comes of it at the right. */
import { html, nothing, type TemplateResult } from 'lit-html';
import { unsafeHTML } from 'lit-html/directives/unsafe-html.js';
import type { Chosen } from '../../eval/reports/token-view/view.ts';
import type { App } from './app.ts';
import { documentLetters } from './documents.ts';
import { sceneFields } from './fields.ts';
import { ON_PAGE, ON_PAPER, pngOf, save } from './figure.ts';
import { attentionFigure, orderFigure, patchFigure, percent } from './figures.ts';
import { knobs } from './knobs.ts';
import { METHODS, methodOf, startOf } from './methods.ts';
import { modelFields } from './model-fields.ts';
import { hashOf, SCENES, type Scene } from './state.ts';

const NAMES: Readonly<Record<Scene, string>> = {
  text: 'A text',
  documents: 'Documents',
  picture: 'A picture',
};

export function page(app: App): TemplateResult {
  return html`<header>
      <h1>attune <span>playground</span></h1>
      <p>Change what attention does inside a small language model, and watch what it writes and where it looks.
        The model runs in this page; nothing you type leaves it.</p>
      ${tabs(app)}
    </header>
    <main><div id="scene" role="tabpanel" aria-labelledby=${`tab-${app.state.scene}`}>
      <form @submit=${(event: Event) => event.preventDefault()}>
        ${sceneFields(app)} ${methodFields(app)} ${specification(app)} ${modelFields(app)}
      </form>
      <div class="results">${results(app)}</div>
    </div></main>`;
}

function tabs(app: App): TemplateResult {
  const choose = (scene: Scene) => {
    if (scene === app.state.scene) return;
    app.change({ scene, specification: startOf(scene), model: undefined });
  };
  const move = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: SCENES.length - 1 }[event.key];
    if (step === undefined) return;
    const next = SCENES[(SCENES.indexOf(app.state.scene) + step) % SCENES.length]!;
    choose(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return html`<div role="tablist" aria-label="What is asked" @keydown=${move}>${SCENES.map((scene) => {
    const here = scene === app.state.scene;
    return html`<button type="button" role="tab" id=${`tab-${scene}`} aria-controls="scene" aria-selected=${here}
      tabindex=${here ? 0 : -1} @click=${() => choose(scene)}>${NAMES[scene]}</button>`;
  })}</div>`;
}

function methodFields(app: App): TemplateResult {
  const { scene, specification } = app.state;
  const { schema, reference, kind } = methodOf(scene, specification);
  const { intervention, ...values } = specification;
  const { layers = 5, heads = 4 } = app.model ?? {};
  const filled = kind.needs.includes('document-spans') ? ['documents'] : [];
  const choose = (event: Event) => {
    app.change({ specification: startOf(scene, (event.target as HTMLSelectElement).value) });
  };
  return html`<label for="method">Method</label>
    <select id="method" aria-describedby="method-reference" @change=${choose}>${METHODS[scene].map(
      ([{ kind: one }]) => html`<option ?selected=${one.name === kind.name}>${one.name}</option>`,
    )}</select>
    <p class="soft" id="method-reference">${reference}</p>
    <fieldset><legend>Knobs of ${kind.name}</legend>${knobs(
      schema,
      values,
      { layers, heads },
      filled,
      (next) => app.change({ specification: { intervention, ...next } }),
    )}</fieldset>
    <p role="alert" class="problem" id="problem">${app.problem}</p>`;
}

function specification(app: App): TemplateResult {
  const set = (event: Event) => {
    try {
      app.change({ specification: JSON.parse((event.target as HTMLTextAreaElement).value) });
    } catch (error) {
      app.problem = `No JSON: ${(error as Error).message}`;
      app.change({});
    }
  };
  const link = hashOf(app.state);
  const copy = () => navigator.clipboard?.writeText(new URL(link, location.href).href).catch(() => undefined);
  return html`<details><summary>The specification as JSON</summary>
      <textarea id="json" aria-label="Specification as JSON" rows="4" spellcheck="false" @change=${set}
        .value=${JSON.stringify(app.state.specification, undefined, 1)}></textarea></details>
    <p class="links"><a id="link" href=${link} @click=${copy}>Link to what is set here</a></p>`;
}

function results(app: App): TemplateResult {
  const { texts, state } = app;
  const name = methodOf(state.scene, state.specification).kind.name;
  return html`<p role="status" class="soft" id="status">${app.status}</p>
    <div class="sides">
      <section><h2>Baseline</h2><p class="text" id="baseline">${texts.baseline.trimStart()}</p></section>
      <section class="intervened"><h2>${name}</h2><p class="text" id="intervened">${texts.intervened.trimStart()}</p></section>
    </div>
    ${state.scene === 'documents' && app.orders.length > 0 ? byOrder(app, name) : nothing}
    ${state.scene === 'picture' && app.view && app.picture ? patches(app) : nothing}
    <section class="figure" ?hidden=${!app.view}>
      <h2>Where it looks</h2>
      <p class="soft">Each small map is a head: rows are tokens that look, columns tokens looked at. Blue is attention under the
        method, orange what the baseline gave and it does not. Choose a head; then move over the text and click to hold a token.</p>
      <div id="view"></div>
      ${app.view ? keep('attention', () => attentionFigure(app.view!, app.chosen as Chosen, ON_PAPER)) : nothing}
    </section>`;
}

function byOrder({ orders, state }: App, method: string): TemplateResult {
  const names = { answer: state.pieces.answer, method };
  const letters = documentLetters(state.pieces.documents.length);
  const spread = (side: 'baseline' | 'intervened') => {
    const all = orders.map((row) => row[side]);
    return `${percent(Math.min(...all))} to ${percent(Math.max(...all))}`;
  };
  return html`<section class="figure" id="orders"><h2>Does the order matter?</h2>
    <div class="scroll" tabindex="0" role="group" aria-label="Figure, scrolls">${unsafeHTML(orderFigure(orders, letters, names, ON_PAGE))}</div>
    <p class="soft">Baseline: ${spread('baseline')} over ${orders.length} orders; ${method}: ${spread('intervened')}.</p>
    ${keep('orders', () => orderFigure(orders, letters, names, ON_PAPER))}</section>`;
}

function patches(app: App): TemplateResult {
  const figure = (colours: typeof ON_PAGE) =>
    patchFigure(app.view!, app.chosen as Chosen, app.picture!, colours);
  return html`<section class="figure" id="patches"><h2>Where it looks in the picture</h2>
    <div class="scroll" tabindex="0" role="group" aria-label="Figure, scrolls">${unsafeHTML(figure(ON_PAGE))}</div>
    <p class="soft">Patches are lit by the attention of the token chosen below, in the head chosen below.</p>
    ${keep('picture', () => figure(ON_PAPER))}</section>`;
}

/** Buttons that keep a figure. */
function keep(name: string, figure: () => string): TemplateResult {
  const asSvg = () => save(`${name}.svg`, new Blob([figure()], { type: 'image/svg+xml' }));
  const asPng = async () => save(`${name}.png`, await pngOf(figure()));
  return html`<p class="keep">Keep this figure as
    <button type="button" id=${`${name}-svg`} aria-label=${`Keep the figure ${name} as SVG`} @click=${asSvg}>SVG</button>
    <button type="button" id=${`${name}-png`} aria-label=${`Keep the figure ${name} as PNG`} @click=${asPng}>PNG</button></p>`;
}
