/** The playground: a prompt, a method with its knobs, what the model writes without and with it, and where it looks. */
import { render } from 'lit-html';
import { TOKEN_VIEW_STYLE } from '../../eval/reports/token-view/style.ts';
import { tokenView } from '../../eval/reports/token-view/view.ts';
import { App } from './app.ts';
import { page } from './page.ts';

const root = document.getElementById('app')!;
document.head.append(Object.assign(document.createElement('style'), { textContent: TOKEN_VIEW_STYLE }));

/** The view that stands on the page. */
let shown: App['view'];

const app: App = new App(draw);

function draw(): void {
  render(page(app), root);
  if (app.view === shown) return;
  shown = app.view;
  const place = document.getElementById('view')!;
  if (!app.view) place.replaceChildren();
  // The picture follows what is chosen.
  else tokenView(place, app.view, app.chosen, () => app.state.scene === 'picture' && render(page(app), root));
}

addEventListener('hashchange', () => app.reread());
// For measurements and tests.
Object.assign(globalThis, { playground: app });
draw();
void app.run();
