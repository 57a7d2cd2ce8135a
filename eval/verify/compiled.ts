/**
 * Solves problems the way a live model does: a model of one attention is recognised, the problem's edit becomes a plan, and
 * the product's own `compile` makes the graph that runs. What is proven is what is used.
 */
import { AttuneError } from '../../errors.ts';
import {
  compile,
  type Edit,
  type EditContext,
  type Knob,
  type LoweringName,
} from '../../hooks/compile/index.ts';
import { paddingPlan } from '../../hooks/session/index.ts';
import { segmentsOf } from '../../kernels/edits/documents.ts';
import { headScale, temperature } from '../../kernels/edits/index.ts';
import { BEYOND } from '../../kernels/lowerings/blocks.ts';
import type { State } from '../../kernels/lowerings/lowered.ts';
import { native, OPERATOR } from '../../kernels/lowerings/native/index.ts';
import { addLowering } from '../../kernels/lowerings/registry.ts';
import type { AppliedEdit, Problem, Solution } from '../../kernels/problem.ts';
import { rePosition } from '../../kernels/reference/re-position.ts';
import { basePositions, documentSpans, type Segments } from '../../kernels/reference/segments.ts';
import { at, build, type Tensor, tensor } from '../../kernels/reference/tensor.ts';
import { asTensor, feed, rows } from '../../kernels/verify/feeds.ts';
import { oneSite, type SiteForm } from '../../kernels/verify/one-site.ts';
import type { Feed, Runner } from '../../kernels/verify/runner.ts';
import { DataType } from '../../onnx/index.ts';
import { recognise } from '../../sites/index.ts';
import { type HookPoint, locatePoints } from '../../sites/points/index.ts';
import type { Site } from '../../sites/site.ts';

// Its operator's body runs everywhere, and is verified as the others are.
addLowering(native);

/** One way through the compiler: how the attention is written, and what the compiler shall take for it. */
export interface Way {
  readonly name: string;
  readonly form: SiteForm;
  readonly lowering: LoweringName;
  readonly blockRows?: number;
  readonly scoreBytes?: number;
  /** Also read the pattern, as a tap does. */
  readonly tapPattern?: boolean;
}

/** Every lowering in every form that has it, in one block and in blocks, and with its pattern read beside. */
export const WAYS: readonly Way[] = [
  { name: 'gqa keep-operator', form: 'gqa', lowering: 'keep-operator' },
  { name: 'gqa keep-in-blocks', form: 'gqa', lowering: 'keep-in-blocks', blockRows: 2 },
  { name: 'gqa expand', form: 'gqa', lowering: 'expand', tapPattern: true },
  { name: 'gqa expand, blocks', form: 'gqa', lowering: 'expand', scoreBytes: 1 },
  { name: 'gqa native', form: 'gqa', lowering: 'native', tapPattern: true },
  { name: 'mha keep-operator', form: 'mha', lowering: 'keep-operator' },
  { name: 'mha expand', form: 'mha', lowering: 'expand' },
  { name: 'attention keep-operator', form: 'attention', lowering: 'keep-operator' },
  { name: 'attention expand', form: 'attention', lowering: 'expand' },
  { name: 'decomposed at-pattern', form: 'decomposed', lowering: 'at-pattern', tapPattern: true },
];

export interface CompiledOptions {
  /** Type of q, k, v and head outputs. Default float32. */
  readonly elemType?: number | undefined;
}

/**
 * @throws AttuneError LOWERING_UNAVAILABLE, LOWERING_LACKS_EDIT, LOWERING_LACKS_OPERATOR where the way cannot express the problem
 */
export async function solveCompiled(
  runner: Runner,
  given: Problem,
  way: Way,
  { elemType = DataType.FLOAT }: CompiledOptions = {},
): Promise<Solution> {
  const problem = withRoom(given);
  const { model, feeds, E } = oneSite(way.form, problem, elemType);
  const recognition = recognise(model);
  const [site] = recognition.sites;
  if (!site || recognition.sites.length > 1) {
    throw new AttuneError('NO_ATTENTION', { found: `${recognition.sites.length} sites in ${way.name}` });
  }
  const points = locatePoints(recognition);
  const point = (kind: HookPoint['kind']) => points.find((one) => one.kind === kind && one.site === site)!;
  const asked = editsOf(problem, site, point('hook_z'));
  const padding = problem.mask?.keys ? (paddingPlan([site], true).edits ?? []) : [];
  const compiled = compile(
    recognition,
    {
      taps: way.tapPattern ? [point('hook_pattern')] : [],
      knobs: Object.entries(asked.values).map(([name, value]) => knobOf(name, value)),
      edits: [...padding, ...asked.edits],
    },
    {
      ep: runner.ep,
      // An operator that only has its padding hidden is the baseline: what it takes is no question.
      lowering: asked.edits.length > 0 ? way.lowering : undefined,
      blockRows: way.blockRows,
      scoreBytes: way.scoreBytes,
      // Where the runtime has no kernel of that name its body runs.
      operators: way.lowering === 'native' ? [OPERATOR] : undefined,
    },
  );
  const { graph, functions, opsetImports } = compiled.model;
  const opsets = Object.fromEntries(opsetImports.map(({ domain, version }) => [domain, version]));
  const knobs = Object.entries(asked.values).map(([name, { value, elemType: type }]) => [
    name,
    feed(value, type),
  ]);
  const results = await runner.run(
    { graph, functions, opsets },
    { ...feeds, ...Object.fromEntries(knobs), ...stateFeeds(problem, compiled.states) },
  );
  const pattern = compiled.taps[0] && asTensor(results[compiled.taps[0].output]!);
  const states = compiled.states.map(({ output }) => [
    output.slice(output.lastIndexOf('.present_') + '.present_'.length),
    asTensor(results[output]!),
  ]);
  return {
    // The residual stream began with zeros: what the attention adds to it, edits of head outputs included.
    output: headOutputs(asTensor(results.y!), problem, E),
    probs: pattern && realRows(pattern, problem),
    states: Object.fromEntries(states),
  };
}

interface Asked {
  readonly edits: readonly Edit[];
  /** Knobs of the edits, by name. */
  readonly values: Readonly<Record<string, { readonly value: Tensor; readonly elemType: number }>>;
}

/** The plan edits of a problem, each in the form that interventions give it. */
function editsOf(problem: Problem, site: Site, z: HookPoint): Asked {
  const asked = (problem.edits ?? []).map((applied) => planEdit(applied, problem, site, z));
  if (problem.bias) {
    const value = { value: problem.bias, elemType: DataType.FLOAT };
    asked.push({ edits: [{ kind: 'bias', site, build: () => 'logit_bias' }], values: { logit_bias: value } });
  }
  return {
    edits: asked.flatMap(({ edits }) => edits),
    values: Object.assign({}, ...asked.map(({ values }) => values)),
  };
}

function planEdit({ edit, values: given }: AppliedEdit, { q }: Problem, site: Site, z: HookPoint): Asked {
  const { row, options } = edit;
  const values = knobsOf(edit, given, q.shape[1]!);
  const named = (name: string) => `${row.kind}.${name}`;
  const knobs = Object.fromEntries(Object.entries(values).map(([name, value]) => [named(name), value]));
  if (row.stage === 'documents') return { edits: [overDocuments(edit, given, site, named)], values: knobs };
  if (row === temperature) {
    return { edits: [{ kind: 'query-scale', site, build: () => named('a') }], values: knobs };
  }
  if (row === headScale) {
    const build = ({ emit }: EditContext, value: string) => {
      const factor = emit('Unsqueeze', [named('head_scale'), emit.ints(1, 3)]); // [B, 1, H, 1]
      const half = site.elemType === DataType.FLOAT16;
      return emit('Mul', [value, half ? emit.cast(factor, DataType.FLOAT16) : factor]);
    };
    return { edits: [{ kind: 'write', point: z, build }], values: knobs };
  }
  if (row.bias) {
    const build = ({ emit }: EditContext) => {
      const T = emit.dim('attention_mask', 1);
      const overKeys = (name: string, ...lead: number[]) =>
        emit('Expand', [named(name), emit('Concat', [emit.ints(...lead), T], { axis: 0 })]);
      return row.bias!(options, { emit, T, value: named, overKeys });
    };
    return { edits: [{ kind: 'bias', site, build }], values: knobs };
  }
  const local = Object.fromEntries(Object.keys(values).map((name) => [name, named(name)]));
  return { edits: [{ kind: 'expand', site, edits: [edit], values: () => local }], values: knobs };
}

/** Values of all knobs of an edit, neutral where the problem gives none. */
function knobsOf({ row, options }: AppliedEdit['edit'], given: AppliedEdit['values'], H: number) {
  return Object.fromEntries(
    row.knobs(options).map(({ name, axes, neutral, type }) => {
      const dims = axes.map((axis) => (axis === 'H' ? H : axis === 'k+1' ? 2 : 1));
      const value = given[name] ?? build(dims, () => neutral);
      return [name, { value, elemType: type === 'int64' ? DataType.INT64 : DataType.FLOAT }];
    }),
  );
}

/** A graph has room for two documents at least; those that are missing are empty. */
function overDocuments(
  { options }: AppliedEdit['edit'],
  { bounds }: AppliedEdit['values'],
  site: Site,
  named: (name: string) => string,
): Edit {
  const documents = Math.max(2, bounds!.shape[1]! - 1);
  const mode = options.mode as Extract<Edit, { kind: 'segments' }>['mode'];
  return { kind: 'segments', site, mode, documents, bounds: named('bounds'), ties: named('ties') };
}

/** Documents of a problem with room for two at least, and places of them where they are equally important. */
function withRoom(problem: Problem): Problem {
  const edits = problem.edits?.map(({ edit, values }) => {
    if (edit.row.stage !== 'documents') return { edit, values };
    const { spans, end } = documentSpans(segmentsOf(values.bounds!));
    const starts = spans.map(([start]) => start);
    const room = Math.max(2, spans.length);
    const bounds = [...starts, ...Array<number>(room + 1 - starts.length).fill(end)];
    return {
      edit,
      values: {
        bounds: tensor(
          [1, room + 1],
          bounds.map((bound) => Math.min(bound, BEYOND)),
        ),
        ties: tensor([1, room], [...Array(room).keys()]),
      },
    };
  });
  return { ...problem, edits };
}

function knobOf(name: string, { value, elemType }: Asked['values'][string]): Knob {
  // Fed at every run: what would be neutral is not asked.
  const neutral = { dims: value.shape, data: new Float32Array(value.data.length) };
  return { name, elemType, shape: value.shape.map((_, axis) => `${name}:${axis}`), neutral };
}

/** What earlier calls left beside the cache. */
function stateFeeds(problem: Problem, states: readonly State[]): Record<string, Feed> {
  const { q, k, edits = [] } = problem;
  const given: Readonly<Record<string, Tensor>> = Object.assign({}, ...edits.map(({ values }) => values));
  const over = edits.find(({ edit }) => edit.row.stage === 'documents');
  return Object.fromEntries(
    states.map(({ input, shape }): [string, Feed] => {
      if (over) return [input, keptDocuments(input, problem, segmentsOf(over.values.bounds!))];
      const dims = [q.shape[0]!, Number(shape[1]), k.shape[2]! - q.shape[2]!];
      const known = given[input.slice(input.lastIndexOf('.') + 1)];
      return [input, feed(known ?? build(dims, () => 0))];
    }),
  );
}

/** Keys of the documents as the first call of a sequence leaves them: without rotation, and side by side at base positions. */
function keptDocuments(input: string, { q, k, rope }: Problem, segments: Segments): Feed {
  const [B, K, T, D] = k.shape as [number, number, number, number];
  const past = T - q.shape[2]!;
  const { spans, end } = documentSpans(segments);
  if (input.endsWith('_documents')) {
    const [from, to] = past === 0 ? [0, 0] : [Math.min(spans[0]?.[0] ?? T, T - 1), Math.max(end, 1)];
    return rows(k, from, to, DataType.FLOAT);
  }
  const turned = rePosition(k, tensor([1, 1, T], basePositions(segments, T).data), rope!);
  const N = past > 0 ? Math.max(0, ...spans.map(([start, stop]) => stop - start)) : 0;
  return feed(
    build([B, K, Math.max(2, spans.length), N, D], (b, h, j, o, d) =>
      at(turned, b!, h!, Math.min((spans[j!]?.[0] ?? 0) + o!, T - 1), d!),
    ),
  );
}

/** (B, H, S, E) from [B, S, H·wide]. Rows that are padding are nobody's: the reference leaves them zero. */
function headOutputs(z: Tensor, { k, v, q, mask }: Problem, wide: number): Tensor {
  const [B, H, S] = q.shape as [number, number, number];
  const past = k.shape[2]! - S;
  return build([B, H, S, v.shape[3]!], (b, h, s, e) => {
    return mask?.keys && at(mask.keys, b!, past + s!) === 0 ? 0 : at(z, b!, s!, h! * wide + e!);
  });
}

function realRows(pattern: Tensor, { k, q, mask }: Problem): Tensor {
  const past = k.shape[2]! - q.shape[2]!;
  return build(pattern.shape, (b, h, s, t) =>
    mask?.keys && at(mask.keys, b!, past + s!) === 0 ? 0 : at(pattern, b!, h!, s!, t!),
  );
}
