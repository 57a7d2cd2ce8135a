/** The page of `attune show --out`: a token view in one file, without a network. */
import { html, Markup } from '../markup.ts';
import type { TokenView } from './data.ts';
import { TOKEN_VIEW_STYLE } from './style.ts';
import { VIEW_FUNCTIONS } from './view.ts';

export function tokenViewPage(view: TokenView): string {
  const specifications = view.settings.flatMap(({ specification }) =>
    specification === undefined ? [] : [JSON.stringify(specification)],
  );
  return html`${new Markup('<!doctype html>')}
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>${view.title}: attention</title><style>${new Markup(PAGE_STYLE + TOKEN_VIEW_STYLE)}</style></head><body>
<header><h1>${view.title}</h1>${specifications.map((one) => html`<p><code>${one}</code></p>`)}
<p>${view.layers} layers of ${view.heads} heads. Each small map is a head: rows are tokens that look, columns tokens that are looked at${
    view.settings.length > 1 &&
    '; blue is attention under the intervention, orange what the baseline gave and it does not'
  }. Choose one; then move over the text, or through it with Tab, and click to hold a token.</p></header>
<main id="view"></main>
<script>${new Markup(scriptOf(view))}</script></body></html>
`.text;
}

/** Functions as text, as this program has them. Names that a compiler marks functions with mean nothing here. */
function scriptOf(view: TokenView): string {
  const data = JSON.stringify(view).replaceAll('<', '\\u003c');
  const functions = VIEW_FUNCTIONS.map(String).join('\n');
  return `const __name = (it) => it;\n${functions}\ntokenView(document.getElementById('view'), ${data});`;
}

const PAGE_STYLE = `
:root { color-scheme: light dark; --ink: #1a1c20; --soft: #5d636d; --paper: #fbfbfa; --card: #fff; --rule: #dcdee1; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9eaec; --soft: #a3a9b3; --paper: #131518; --card: #1b1e22; --rule: #343941; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.2rem 3rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", Roboto, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .2rem; overflow-wrap: anywhere; } header p { color: var(--soft); margin: 0 0 .8rem; max-width: 54rem; }
code { overflow-wrap: anywhere; }
`;
