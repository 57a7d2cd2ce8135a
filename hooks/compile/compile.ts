/**
 * Plan to edited model. Weights and untouched nodes keep their bytes; the same plan always gives the same model.
 *
 * Merged decoders hold one copy of the model in each branch of an If. A site and its twin in the other branch count
 * as one: edits apply to both, and a tap becomes an output of both branches and so of the If.
 */
import { AttuneError } from '../../errors.ts';
import type { State } from '../../kernels/lowerings/lowered.ts';
import type { LoweringName } from '../../kernels/lowerings/lowering.ts';
import type { Edit, Knob, Plan } from '../../kernels/plan.ts';
import { ATTENTION_MASK } from '../../kernels/site/bias.ts';
import { PREFIX } from '../../onnx/emitter.ts';
import {
  changeModel,
  type Graph,
  importOpset,
  type Model,
  makeValueInfo,
  opsetVersion,
  subgraphs,
} from '../../onnx/index.ts';
import { type HookPoint, POINT_AXES } from '../../sites/points/index.ts';
import type { Capability, Recognition, ScopeStep, Site } from '../../sites/site.ts';
import { type GraphInputs, GraphRewrite, type ProviderTraits } from './graph-rewrite.ts';
import { forRuntime } from './older-runtimes.ts';

/** A hook point that a compiled graph hands out. */
export interface Tap {
  /** Which one. */
  readonly point: HookPoint;
  /** Graph output that carries it, float32. */
  readonly output: string;
  /** Axis letters of POINT_AXES. */
  readonly axes: string;
}

/** An edited graph, and what it has beside the inputs and outputs of the untouched one. */
export interface Compiled {
  /** The graph; weights keep their bytes. */
  readonly model: Model;
  /** Hook points that are outputs. */
  readonly taps: readonly Tap[];
  /** Inputs of interventions. */
  readonly knobs: readonly Knob[];
  /** Values that go from call to call beside the cache. */
  readonly states: readonly State[];
  /** Outputs that only passes which ask for them get. */
  readonly reports?: readonly string[];
}

/** How attention is computed, where there is a choice. */
export interface KernelOptions {
  /**
   * How attention is computed wherever it is edited; default the lowering measured cheapest at each site. Refused where a site
   * cannot have it.
   */
  readonly lowering?: LoweringName | undefined;
  /** Rows of a block under 'keep-in-blocks'. Default BLOCK_ROWS. */
  readonly blockRows?: number | undefined;
  /** Bytes of scores that attention written out holds at a time. Default BLOCK_BYTES, 16 MiB. */
  readonly scoreBytes?: number | undefined;
}

/** What a graph is compiled for. */
export interface CompileOptions extends KernelOptions {
  /** Execution provider the graph is for, as ONNX Runtime calls it. Default cpu. */
  readonly ep?: string | undefined;
  /** Version of the ONNX Runtime it is for, such as 1.21.0. Default: a new one. */
  readonly onnxruntime?: string | undefined;
  /** Operators the runtime has a kernel for: beginnings of their names. Default: none. */
  readonly operators?: readonly string[] | undefined;
}

/**
 * Edits a recognised graph by a plan: taps become outputs, knobs inputs, edits nodes.
 *
 * @example const { model } = compile(recognition, { taps: [points[0]!] });
 *
 * @throws AttuneError SITE_LACKS, POINT_UNAVAILABLE, POINT_READ_ONLY, POINT_NOT_BUILT, HOOK_IN_SUBGRAPH, KNOB_NAME_TAKEN,
 *   LOWERING_UNAVAILABLE, OPSET_TOO_OLD
 */
export function compile(
  { model, sites }: Pick<Recognition, 'model' | 'sites'>,
  plan: Plan,
  { ep = 'cpu', onnxruntime, operators, lowering, blockRows, scoreBytes }: CompileOptions = {},
): Compiled {
  const { taps = [], knobs = [], edits = [] } = plan;
  if (taps.length + knobs.length + edits.length === 0) {
    return { model: forRuntime(model, onnxruntime), taps: [], knobs: [], states: [] };
  }
  const traits = { ep, onnxruntime, operators, lowering, blockRows, scoreBytes };
  const tree = new RewriteTree(model, traits);
  const everywhere = edits.flatMap((edit) => withTwins(edit, sites));
  for (const edit of everywhere) checkCapability(edit);
  for (const point of [...taps, ...everywhere.flatMap(pointsOf)]) {
    for (const one of [point, ...(point.twins ?? [])]) tree.at(one.scope).enableSum(one);
  }
  const byScope = new Map<GraphRewrite, Edit[]>();
  for (const edit of everywhere) {
    const rewrite = tree.at(scopeOf(edit));
    byScope.set(rewrite, [...(byScope.get(rewrite) ?? []), edit]);
  }
  const patterns = new Set(taps.flatMap(({ kind, site }) => (kind === 'hook_pattern' && site ? [site] : [])));
  for (const [rewrite, own] of byScope) rewrite.applyEdits(own, patterns);
  const states = tree.addStates();
  const tapped = taps.map((point) => tree.addTap(point));
  const reports = tree.reports();
  const edited = forRuntime(tree.finish(knobs, states), onnxruntime);
  return { model: edited, taps: tapped, knobs, states, reports };
}

/** What an edit takes of its site. */
const TAKES: { readonly [kind in Edit['kind']]?: Capability } = {
  bias: 'logits',
  logits: 'logits',
  'query-scale': 'queries',
  expand: 'probabilities',
  segments: 'probabilities',
};

/**
 * Whether an edit can be had at its site.
 *
 * @throws AttuneError SITE_LACKS before anything is built, with the operator's option that stands against it
 */
export function checkCapability(edit: Edit): void {
  const capability = TAKES[edit.kind];
  if (edit.kind === 'write' || edit.kind === 'after' || capability === undefined) return;
  const reason = edit.site.lacks?.[capability];
  if (reason === undefined) return;
  throw new AttuneError('SITE_LACKS', {
    at: edit.site.anchor.name || edit.site.anchor.opType,
    found: reason,
    expected: `attention whose ${capability} can be edited`,
    hint: '`attune inspect` lists what each layer has; choose other layers, or another export.',
  });
}

/** Hook points an edit reads or replaces. */
function pointsOf(edit: Edit): readonly HookPoint[] {
  if (edit.kind === 'write') return [edit.point];
  return edit.kind === 'expand' ? (edit.reads ?? []) : [];
}

/** The graph an edit is for. */
function scopeOf(edit: Edit): readonly ScopeStep[] {
  if (edit.kind === 'after') return [];
  return edit.kind === 'write' ? edit.point.scope : edit.site.scope;
}

/** The edit, and the same edit for the twins of its site in other branches. */
export function withTwins(edit: Edit, sites: readonly Site[]): Edit[] {
  if (edit.kind === 'write') {
    return [edit, ...(edit.point.twins ?? []).map((point) => ({ ...edit, point }))];
  }
  if (edit.kind === 'after') return [edit];
  const { site } = edit;
  if (site.scope.length === 0) return [edit];
  const twins = sites.filter((other) => areTwins(other, site));
  return [edit, ...twins.map((twin) => ({ ...edit, site: twin }))];
}

/** One layer in two branches: an edit of either reaches both. */
const areTwins = (a: Site, b: Site): boolean =>
  a !== b &&
  a.scope.length > 0 &&
  b.scope.length > 0 &&
  a.layer === b.layer &&
  a.tower === b.tower &&
  a.attention === b.attention;

/** The sites without those that edits of others reach already. */
export const oneOfTwins = (sites: readonly Site[]): Site[] =>
  sites.filter((site, i) => !sites.slice(0, i).some((earlier) => areTwins(earlier, site)));

/** Rewrites of the main graph and of the branches of If nodes in it. */
class RewriteTree {
  readonly #model: Model;
  readonly #opset: number;
  readonly #provider: ProviderTraits;
  readonly #main: GraphRewrite;
  readonly #branches = new Map<string, { step: ScopeStep; rewrite: GraphRewrite }>();
  /** Taps that come out of an If: rank and name, per position of the If. */
  readonly #outputs = new Map<number, [number, string][]>();

  constructor(model: Model, provider: ProviderTraits) {
    this.#model = model;
    this.#opset = opsetVersion(model) ?? 1;
    this.#provider = provider;
    this.#main = new GraphRewrite(model.graph, this.#opset, this.#inputs, PREFIX, provider);
  }

  get #inputs(): GraphInputs {
    const names = this.#model.graph.inputs.map(({ name }) => name);
    return {
      attentionMask: names.find((name) => name === ATTENTION_MASK),
      tokens: names.find((name) => name === 'input_ids' || name === 'inputs_embeds'),
    };
  }

  at(scope: readonly ScopeStep[]): GraphRewrite {
    const [step, ...deeper] = scope;
    if (!step) return this.#main;
    if (deeper.length > 0 || step.node.opType !== 'If') {
      throw new AttuneError('HOOK_IN_SUBGRAPH', {
        at: step.node.name || step.node.opType,
        found: `a site inside ${scope.map(({ node, attribute }) => `${node.opType}.${attribute}`).join(' / ')}`,
        expected: 'a site in the main graph or in a branch of an If',
        hint: 'Values of a Loop or Scan body differ from step to step; tap what leaves the loop.',
      });
    }
    return this.#branch(step);
  }

  #branch(step: ScopeStep): GraphRewrite {
    const key = `${step.position}:${step.attribute}`;
    const existing = this.#branches.get(key);
    if (existing) return existing.rewrite;
    const graph = branchGraph(step);
    const prefix = `${PREFIX}/${step.attribute}`;
    const rewrite = new GraphRewrite(graph, this.#opset, this.#inputs, prefix, this.#provider);
    this.#branches.set(key, { step, rewrite });
    return rewrite;
  }

  addTap(point: HookPoint): Tap {
    const output = `${PREFIX}.${point.name}`;
    const axes = POINT_AXES[point.kind];
    const [step] = point.scope;
    if (!step) this.#main.addTap(point, output);
    else {
      const all = [point, ...(point.twins ?? [])];
      for (const { name, g } of step.node.attributes) {
        if (!g) continue;
        const here = all.find(({ scope }) => scope[0]?.attribute === name);
        const inner = `${output}/${name}`;
        if (here) this.at(here.scope).addTap(here, inner);
        else this.#branch({ ...step, attribute: name }).addEmptyTap(inner, axes.length);
      }
      const outputs = this.#outputs.get(step.position) ?? [];
      this.#outputs.set(step.position, [...outputs, [axes.length, output]]);
    }
    return { point, output, axes };
  }

  /**
   * What written-out sites carry from call to call becomes inputs and outputs.
   * @throws AttuneError HOOK_IN_SUBGRAPH
   */
  addStates(): readonly State[] {
    for (const { step, rewrite } of this.#branches.values()) {
      if (rewrite.states.length === 0) continue;
      throw new AttuneError('HOOK_IN_SUBGRAPH', {
        at: step.node.name || step.node.opType,
        found: `an intervention that remembers earlier calls, in ${step.node.opType}.${step.attribute}`,
        expected: 'attention in the main graph',
        hint: 'Use a form of it without memory, or an export without a merged decoder.',
      });
    }
    const { states } = this.#main;
    for (const { output, shape } of states) this.#main.addOutput(output, shape.length);
    return states;
  }

  /** @throws AttuneError HOOK_IN_SUBGRAPH */
  reports(): readonly string[] {
    for (const { step, rewrite } of this.#branches.values()) {
      if (rewrite.reports.length === 0) continue;
      throw new AttuneError('HOOK_IN_SUBGRAPH', {
        at: step.node.name || step.node.opType,
        found: `an intervention that reports on a pass, in ${step.node.opType}.${step.attribute}`,
        expected: 'attention in the main graph',
      });
    }
    return this.#main.reports;
  }

  finish(knobs: readonly Knob[], states: readonly State[]): Model {
    const { inputs } = this.#model.graph;
    for (const { name } of knobs) {
      if (!inputs.some((input) => input.name === name)) continue;
      throw new AttuneError('KNOB_NAME_TAKEN', { found: `a graph input called ${name} already` });
    }
    const holders = new Map<number, { step: ScopeStep; graphs: Map<string, Graph> }>();
    for (const { step, rewrite } of this.#branches.values()) {
      const holder = holders.get(step.position) ?? { step, graphs: new Map<string, Graph>() };
      holder.graphs.set(step.attribute, rewrite.finish());
      holders.set(step.position, holder);
    }
    for (const [position, { step, graphs }] of holders) {
      this.#main.replaceHolder(step.node, graphs, this.#outputs.get(position) ?? []);
    }
    const values = knobs.map(({ name, elemType, shape }) => makeValueInfo(name, elemType, shape));
    const carried = states.map(({ input, elemType, shape }) =>
      makeValueInfo(
        input,
        elemType,
        shape.map((dim) => (typeof dim === 'string' ? `${input}:${dim}` : dim)),
      ),
    );
    const model = changeModel(this.#model, { graph: this.#main.finish([...values, ...carried]) });
    const rewrites = [this.#main, ...[...this.#branches.values()].map(({ rewrite }) => rewrite)];
    const contrib = rewrites.some((rewrite) => rewrite.usesContribOperators);
    return withFunctions(
      contrib ? importOpset(model, 'com.microsoft', 1) : model,
      rewrites.flatMap(({ expanded }) => expanded),
    );
  }
}

/** First version of the file format with model-local functions. */
const IR_WITH_FUNCTIONS = 8;

function withFunctions(model: Model, parts: GraphRewrite['expanded']): Model {
  if (parts.length === 0) return model;
  const functions = new Map(parts.flatMap((part) => [...part.functions]));
  const opsets = parts.flatMap((part) => Object.entries(part.opsets));
  const imported = opsets.reduce((all, [domain, version]) => importOpset(all, domain, version), model);
  return changeModel(imported, {
    irVersion: Math.max(imported.irVersion, IR_WITH_FUNCTIONS),
    functions: [...imported.functions, ...functions.values()],
  });
}

function branchGraph({ node, attribute }: ScopeStep): Graph {
  const graph = node.attributes.find(({ name }) => name === attribute)?.g;
  if (graph) return graph;
  throw new AttuneError('HOOK_IN_SUBGRAPH', {
    at: node.name || node.opType,
    found: `no sub-graph ${attribute} among ${subgraphs(node).length}`,
  });
}
