/**
 * The edits of one graph, in order: those that change a value are wired here; what an attention itself has to be computed with
 * is collected by site and handed to the lowering chosen for it (kernels/lowerings).
 */
import { type Choice, chooseLowering, editsBySite } from '../../kernels/lowerings/choose.ts';
import { documents } from '../../kernels/lowerings/documents.ts';
import type {
  LoweringContext,
  LoweringName,
  SiteFragment,
  SiteWork,
} from '../../kernels/lowerings/lowering.ts';
import { REGISTRY } from '../../kernels/lowerings/registry.ts';
import type { SegmentsPart } from '../../kernels/lowerings/segments/around.ts';
import type { Edit, SegmentsEdit } from '../../kernels/plan.ts';
import { anyLoud, type FrontBias, sequenceLength, withBias, withInput } from '../../kernels/site/bias.ts';
import { fromBHST } from '../../kernels/site/layout.ts';
import { queryPlace, scaleQueries, takeOutBias } from '../../kernels/site/query-scale.ts';
import { DataType } from '../../onnx/index.ts';
import type { Site } from '../../sites/site.ts';
import type { PointValues } from './point-values.ts';
import type { Rewiring } from './rewiring.ts';

/** What edits of a site came to so far. */
interface Collected {
  readonly edits: readonly Edit[];
  readonly choice: Choice;
  readonly biases: string[];
  readonly beyondPadding: string[];
  /** Of each bias a value that is 0 everywhere only where the bias is. */
  readonly scales: string[];
  readonly factors: string[];
  lowered: boolean;
}

export class SiteEdits {
  readonly #context: LoweringContext;
  readonly #rewiring: Rewiring;
  readonly #points: PointValues;
  readonly #sites = new Map<Site, Collected>();
  /** Sites whose pattern is asked for. */
  readonly #tapped: ReadonlySet<Site>;
  /** What stands for sites, and for calls of them with documents, whose own nodes move into a branch at the end. */
  readonly fragments = new Map<Site, SiteFragment>();
  readonly documents = new Map<Site, SegmentsPart>();

  constructor(context: LoweringContext, rewiring: Rewiring, points: PointValues, tapped: ReadonlySet<Site>) {
    this.#context = context;
    this.#rewiring = rewiring;
    this.#points = points;
    this.#tapped = tapped;
  }

  /**
   * @param forced lowering of every site
   * @throws AttuneError LOWERING_UNAVAILABLE, POINT_READ_ONLY and what edits and lowerings throw
   */
  apply(edits: readonly Edit[], forced: LoweringName | undefined): void {
    for (const [site, own] of editsBySite(edits)) {
      const choice = chooseLowering(site, own, this.#context.target, forced);
      const empty = { biases: [], beyondPadding: [], scales: [], factors: [], lowered: false };
      this.#sites.set(site, { edits: own, choice, ...empty });
    }
    for (const edit of edits) this.#apply(edit);
    const fronts = new Map([...this.#sites].map(([site, own]) => [site, this.#addBias(site, own)]));
    // Last, since a site is computed from what its operator reads after all other edits.
    for (const [site, own] of this.#sites) if (!own.lowered) this.#lower(site, own, fronts.get(site));
    for (const edit of edits) if (edit.kind === 'segments') this.#overDocuments(edit);
    for (const edit of edits) if (edit.kind === 'after') edit.build(this.#context);
  }

  #apply(edit: Edit): void {
    if (edit.kind === 'write') {
      this.#points.write(edit.point, (value) => edit.build(this.#context, value));
      return;
    }
    if (edit.kind === 'after') return;
    const { site } = edit;
    const own = this.#sites.get(site)!;
    if (edit.kind === 'bias') {
      const value = edit.build(this.#context, site);
      own.biases.push(value);
      own.scales.push(edit.multipleOf ?? value);
      if (!edit.hidesPadding) own.beyondPadding.push(value);
    } else if (edit.kind === 'query-scale') {
      this.#scaleQueries(site, own, edit.build(this.#context, site));
    } else if (edit.kind === 'operand') {
      const node = this.#rewiring.current(site.anchor);
      const value = edit.build(this.#context, node.inputs[edit.input] ?? '');
      this.#rewiring.change(site.anchor, withInput(node, edit.input, value));
    } else if (edit.kind === 'logits') {
      this.#editLogits(site, (scores) => edit.build(this.#context, scores));
    } else if (edit.kind === 'expand' && !site.fused && !own.lowered) {
      // Where the pattern is a value, edits of it keep their place among the others: all of a site where its first stands.
      this.#lower(site, own, undefined);
    }
  }

  #lower(site: Site, own: Collected, front: FrontBias | undefined): void {
    own.lowered = true;
    const row = REGISTRY.find(({ name }) => name === own.choice.lowering)!;
    const fragment = row.lower(site, this.#work(site, own, front), this.#context);
    this.#context.emit.add(...fragment.nodes);
    this.fragments.set(site, fragment);
  }

  #work(site: Site, { edits, biases, beyondPadding, factors }: Collected, front?: FrontBias): SiteWork {
    const { emit } = this.#context;
    return {
      edits,
      bias: this.#sum(biases),
      beyondPadding: this.#sum(beyondPadding),
      front,
      queryScale:
        factors.length > 0 ? factors.reduce((a, b) => emit.op('Mul', [a, b], 'query_scale')) : undefined,
      tapped: this.#tapped.has(site),
    };
  }

  #sum(values: readonly string[]): string | undefined {
    if (values.length === 0) return undefined;
    const { emit, once } = this.#context;
    return once(`bias ${values}`, () => values.reduce((a, b) => emit.op('Add', [a, b], 'bias')));
  }

  /**
   * What is added to the logits: among the operator's inputs, or on scores that are a value.
   * @returns of a fused site, for lowerings that put it in front of the operator otherwise
   */
  #addBias(site: Site, { biases, scales }: Collected): FrontBias | undefined {
    const bias = this.#sum(biases);
    if (bias === undefined) return undefined;
    const { emit, once, target } = this.#context;
    const elemType = site.elemType ?? DataType.FLOAT;
    const float = elemType === DataType.FLOAT;
    const typed = float ? bias : once(`cast ${elemType} ${bias}`, () => emit.cast(bias, elemType));
    if (!site.fused) {
      this.#editLogits(site, (scores) => emit.op('Add', [scores, typed], 'scores'));
      return undefined;
    }
    const rows = sequenceLength(emit, target.graph, site);
    const node = this.#rewiring.current(site.anchor);
    this.#rewiring.change(site.anchor, withBias(this.#context, site, node, typed, rows));
    return { site, own: node.inputs[site.biasInput!] ?? '', bias, rows, loud: () => this.#loud(scales) };
  }

  /** bool of one element: some of the values are not 0. */
  #loud(values: readonly string[]): string {
    const { emit, once } = this.#context;
    const loud = [...new Set(values)].map((value) => once(`loud ${value}`, () => anyLoud(emit, value)));
    return once(`any of ${loud}`, () => loud.reduce((a, b) => emit.op('Or', [a, b], 'loud')));
  }

  /** factor: float32 [1|B, 1|H]. */
  #scaleQueries(site: Site, own: Collected, factor: string): void {
    const { emit } = this.#context;
    const carrier = queryPlace(site).value;
    let value = this.#rewiring.now(carrier);
    own.factors.push(factor);
    if (!this.unscaled.has(carrier)) this.unscaled.set(carrier, value);
    if (site.biasInside) {
      const node = this.#rewiring.current(site.anchor);
      const taken = takeOutBias(emit, site, value, node.inputs[3]!);
      value = taken.query;
      this.#rewiring.change(site.anchor, withInput(node, 3, taken.bias));
    }
    this.#rewiring.rewire(carrier, scaleQueries(emit, site, value, factor));
  }

  /** Queries as they were before factors, by the value that carries them. */
  readonly unscaled = new Map<string, string>();

  /** Of an unfused site; [B,H,S,T] in its own element type. */
  #editLogits(site: Site, edit: (scores: string) => string): void {
    const { emit } = this.#context;
    const place = site.scores!;
    const value = this.#rewiring.now(place.value);
    const lengths = [-1, site.numHeads, { of: value, axis: 1 }, { of: value, axis: 2 }];
    const bhst = place.layout === 'BHST' ? value : emit.reshape(value, lengths);
    this.#rewiring.rewire(place.value, fromBHST(emit, edit(bhst), place));
  }

  #overDocuments(edit: SegmentsEdit): void {
    const work = this.#work(edit.site, this.#sites.get(edit.site)!);
    this.documents.set(edit.site, documents.lower(edit.site, edit, work, this.#context));
  }
}
