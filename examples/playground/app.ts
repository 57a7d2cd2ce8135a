/** What the page knows and does: one state, the models it has loaded, and the newest run of what was asked. */
import { isAttuneError } from '../../errors.ts';
import type { TokenView, TokenViewSetting } from '../../eval/reports/token-view/data.ts';
import type { Chosen } from '../../eval/reports/token-view/view.ts';
import { methodOf } from './methods.ts';
import { load, type Model, OWN, type Wish } from './model.ts';
import { pictureAddress } from './picture.ts';
import { interventionFor, type Posed, pose } from './pose.ts';
import { hashOf, type State, stateOf } from './state.ts';
import { byOrder, generate, look, type OrderRow, ordersOf, viewOf } from './work.ts';

/** The baseline of a prompt, which knobs do not change. */
interface Baseline {
  readonly key: string;
  readonly text: string;
  readonly seen: TokenViewSetting;
}

/** A slider is let go for this long before its value is run. */
const PAUSE = 200;

export class App {
  state: State = stateOf(location.hash);
  status = 'Loading the model…';
  problem = '';
  /** What the model writes. */
  texts = { baseline: '', intervened: '' };
  view: TokenView | undefined;
  orders: readonly OrderRow[] = [];
  /** The picture of the view. */
  picture: string | undefined;
  /** Where the visitor looks, from one run to the next. */
  readonly chosen: Partial<Chosen> = {};
  /** Milliseconds from the start of the page to the first token that was written. */
  firstToken: number | undefined;
  model: Model | undefined;
  #loading: Promise<Model> | undefined;
  #wished: Wish | undefined;
  #baseline: Baseline | undefined;
  /** Counts; what an older run still writes is dropped. */
  #newest = 0;
  #pause: ReturnType<typeof setTimeout> | undefined;
  #last: Promise<void> = Promise.resolve();
  readonly #draw: () => void;

  constructor(draw: () => void) {
    this.#draw = draw;
  }

  change(part: Partial<State>): void {
    if (part.scene && part.scene !== this.state.scene) this.#clear();
    this.state = { ...this.state, ...part };
    history.replaceState(undefined, '', hashOf(this.state));
    this.#draw();
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => void this.run(), PAUSE);
  }

  /** The address bar was changed. */
  reread(): void {
    this.state = stateOf(location.hash);
    this.#clear();
    void this.run();
  }

  /** The picture is another, though its number is not. */
  rebase(): void {
    this.#baseline = undefined;
    this.change({});
  }

  #clear(): void {
    this.view = undefined;
    this.orders = [];
    this.texts = { baseline: '', intervened: '' };
    delete this.chosen.query;
    delete this.chosen.pinned;
  }

  /** Runs follow each other: one that is out of date ends at its next step. */
  run(): Promise<void> {
    const own = ++this.#newest;
    this.#last = this.#last.then(() => (own === this.#newest ? this.#run(own) : undefined));
    return this.#last;
  }

  async #run(own: number): Promise<void> {
    const current = () => own === this.#newest;
    try {
      this.problem = '';
      const model = await this.#loaded();
      for await (const status of this.#steps(model, current)) {
        if (!current()) return;
        this.status = status;
        this.#draw();
      }
    } catch (error) {
      if (!current()) return;
      this.problem = isAttuneError(error) ? error.message : String((error as Error).message ?? error);
      this.status = '';
    }
    this.#draw();
  }

  async *#steps(model: Model, current: () => boolean): AsyncGenerator<string> {
    const { state } = this;
    const { scene, specification } = state;
    const method = methodOf(scene, specification);
    const { needs } = method.kind;
    const posed = await pose(model, state);
    const intervention = interventionFor(specification, needs, posed);
    this.picture = scene === 'picture' ? await pictureAddress(state.picture.number) : undefined;
    const write = (side: 'baseline' | 'intervened') => (piece: string) => {
      if (!current()) return;
      this.firstToken ??= performance.now();
      this.texts = { ...this.texts, [side]: this.texts[side] + piece };
      this.#draw();
    };
    const key = JSON.stringify([model.wish, posed.ids, this.picture]);
    const known = this.#baseline?.key === key ? this.#baseline : undefined;
    this.texts = { baseline: known?.text ?? '', intervened: '' };
    if (!known) {
      yield 'Writing the baseline…';
      await generate(model, posed, [], write('baseline'));
    }
    const baseline = this.texts.baseline;
    yield `Writing under ${intervention.intervention}…`;
    await generate(model, posed, [intervention], write('intervened'));
    yield 'Looking into the heads…';
    const seen = known?.seen ?? (await look(model, posed, undefined));
    if (current()) this.#baseline = { key, text: baseline, seen };
    const also = await look(model, posed, intervention);
    if (!current()) return;
    this.#show(viewOf(model, posed, [seen, also]));
    if (scene === 'documents') yield* this.#byOrder(model);
    yield `Done: ${this.#summary(model, posed)}`;
  }

  async *#byOrder(model: Model): AsyncGenerator<string> {
    const { pieces, specification, scene } = this.state;
    const { needs } = methodOf(scene, specification).kind;
    const orders = ordersOf(pieces.documents.length);
    const rows: OrderRow[] = [];
    for (const order of orders) {
      yield `Order ${rows.length + 1} of ${orders.length}…`;
      rows.push(await byOrder(model, pieces, order, specification, needs));
      this.orders = [...rows];
    }
  }

  /** What was chosen stays, as far as the new view has it. */
  #show(view: TokenView): void {
    const { layer = view.layers, head = -1, query = view.tokens.length, pinned = false } = this.chosen;
    Object.assign(this.chosen, {
      layer: Math.min(layer, view.layers - 1),
      head: Math.min(head, view.heads - 1),
      query: Math.min(query, view.tokens.length - 1),
      pinned,
    });
    this.view = view;
  }

  #summary({ layers, heads }: Model, { ids }: Posed): string {
    return `${ids.length} tokens, ${layers} layers of ${heads} heads`;
  }

  /** The model that the state asks for. The one before it goes first, so that two are never held. */
  #loaded(): Promise<Model> {
    const wish = wishOf(this.state);
    const same = JSON.stringify(wish) === JSON.stringify(this.#wished);
    if (same && this.#loading) return this.#loading;
    const before = this.#loading;
    this.#wished = wish;
    const loading = (async () => {
      const old = await before?.catch(() => undefined);
      this.model = undefined;
      await old?.model.dispose();
      this.status = `Loading ${wish.id}…`;
      this.#draw();
      const model = await load(wish, (share) => {
        this.status = `Loading ${wish.id}: ${Math.round(100 * share)} %`;
        this.#draw();
      });
      this.model = model;
      return model;
    })();
    this.#loading = loading;
    // It may be asked for again.
    loading.catch(() => {
      if (this.#loading === loading) this.#loading = undefined;
    });
    return loading;
  }
}

function wishOf({ scene, model }: State): Wish {
  const own = OWN[scene === 'picture' ? 'picture' : 'text'];
  return model ? { ...model, sees: own.sees, own: false } : own;
}
