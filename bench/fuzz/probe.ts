/**
 * What attune makes of a file, from opening it to running it with everything read and edited. Right is: an answer that holds, or a
 * typed error. Where ONNX Runtime itself declines the untouched file, nothing is asked of attune beyond its graph work.
 */

import { isAttuneError } from '../../errors.ts';
import { inspectPage } from '../../eval/cli/inspect-page.ts';
import { inspect, inspectionJson } from '../../eval/cli/inspection.ts';
import { compile, type Plan } from '../../hooks/compile/index.ts';
import { type Intervention, type ModelFacts, modelFacts } from '../../hooks/model/index.ts';
import { completeFeeds, createSession, type Feeds, type Runtime } from '../../hooks/session/index.ts';
import { definedKinds, headAblation, zeroTuning } from '../../interventions/index.ts';
import { assemble, encodeModel, type OnnxFile, openModel } from '../../onnx/index.ts';
import type { HookPoint } from '../../sites/points/index.ts';
import { type Tensors, wrongAblation, wrongPattern, wrongTuning } from './equations.ts';

export interface Finding {
  readonly stage: string;
  readonly message: string;
}

export interface Probed {
  /** raw: an error that is not attune's; wrong: an answer that does not hold. */
  readonly outcome: 'answer' | 'typed' | 'raw' | 'wrong' | 'declined';
  readonly findings: readonly Finding[];
  /** Codes of typed errors, by stage. */
  readonly codes: Readonly<Record<string, string>>;
}

/** A session without ONNX Runtime's optimiser: the same operators with taps and without, so that outputs are bit-identical. */
const EXACT = { graphOptimizationLevel: 'disabled', logSeverityLevel: 4, intraOpNumThreads: 1 } as const;

/** @param runtime undefined: graph work alone @param enter told of each stage before it begins */
export async function probe(
  bytes: Uint8Array,
  runtime: Runtime | undefined,
  enter: (stage: string) => void,
): Promise<Probed> {
  const probing = new Probing(enter);
  const file = await probing.stage('open', () => openModel(bytes, 'mutant.onnx'));
  if (!file) return probing.result('typed');
  try {
    const inspection = await probing.stage('inspect', () => inspect(file, 'mutant.onnx'));
    if (!inspection) return probing.result('typed');
    await probing.stage(
      'report',
      () => `${JSON.stringify(inspectionJson(inspection))}${inspectPage(inspection)}`,
    );
    await probing.stage('write', () => assemble(encodeModel(file.model), file.source));
    const taps = inspection.points.filter(({ source }) => source.from !== 'nowhere');
    await probing.stage('compile taps', () => compile(inspection.recognition, { taps }));
    const facts = await probing.stage('facts', () => modelFacts(file, {}, inspection.recognition));
    if (!facts) return probing.result('typed');
    for (const [name, { kind }] of definedKinds()) {
      await probing.stage(`compile ${name}`, () =>
        compile(facts.recognition, kind.plan(facts, kind.variant?.(undefined))),
      );
    }
    if (!runtime) return probing.result('answer');
    return await run(probing, bytes, file, facts, taps, runtime);
  } finally {
    file.close();
  }
}

/** Runs stages, and keeps what went wrong in which. */
class Probing {
  readonly findings: Finding[] = [];
  readonly codes: Record<string, string> = {};
  #wrong = false;
  readonly #enter: (stage: string) => void;

  constructor(enter: (stage: string) => void) {
    this.#enter = enter;
  }

  async stage<T>(stage: string, work: () => T | Promise<T>): Promise<T | undefined> {
    this.#enter(stage);
    try {
      return await work();
    } catch (error) {
      if (isAttuneError(error)) this.codes[stage] = error.code;
      else this.findings.push({ stage, message: (error as Error).stack?.slice(0, 600) ?? String(error) });
      return undefined;
    }
  }

  wrong(stage: string, message: string | undefined): void {
    if (message === undefined) return;
    this.#wrong = true;
    this.findings.push({ stage, message });
  }

  result(otherwise: Probed['outcome']): Probed {
    const outcome = this.#wrong ? 'wrong' : this.findings.length > 0 ? 'raw' : otherwise;
    return { outcome, findings: this.findings, codes: this.codes };
  }
}

async function run(
  probing: Probing,
  bytes: Uint8Array,
  file: OnnxFile,
  facts: ModelFacts,
  taps: readonly HookPoint[],
  runtime: Runtime,
) {
  const feeds = await probing.stage('feeds', () => feedsOf(file, runtime));
  if (!feeds) return probing.result('typed');
  const plain = await untouched(probing, bytes, feeds, runtime);
  if (!plain) return probing.result('declined');
  const tapped = await probing.stage('tap', () => outputsOf(file, facts, { taps }, feeds, runtime));
  refuseFailure(probing, 'tap');
  if (!tapped) return probing.result('typed');
  probing.wrong('tap', difference(plain, tapped.outputs));
  if (!Object.values(plain).every(({ data }) => finite(data))) return probing.result('answer');
  probing.wrong('pattern', wrongPattern(facts, tapped.taps));
  for (const [name, intervention, check] of [
    ['head ablation', headAblation({ heads: everyLayer(facts) }), wrongAblation],
    ['zero tuning', zeroTuning({ gamma: 3 }), wrongTuning],
  ] as const) {
    const plan = await probing.stage(`plan ${name}`, () =>
      intervention.kind.plan(facts, intervention.kind.variant?.(intervention as Intervention)),
    );
    if (!plan) continue;
    const knobs = await probing.stage(`knobs ${name}`, () =>
      intervention.kind.knobs(intervention as Intervention, facts),
    );
    const edited = await probing.stage(name, () =>
      outputsOf(file, facts, { ...plan, taps }, feeds, runtime, knobs),
    );
    refuseFailure(probing, name);
    if (edited) probing.wrong(name, check(facts, tapped.taps, edited.taps));
    const neutral = await probing.stage(`${name}, neutral`, () =>
      outputsOf(file, facts, plan, feeds, runtime),
    );
    if (neutral) probing.wrong(`${name}, neutral`, difference(plain, neutral.outputs));
  }
  return probing.result('answer');
}

/** Head 0 of each layer. */
const everyLayer = ({ decoder }: ModelFacts) => decoder.map((_, layer): [number, number] => [layer, 0]);

/** What ONNX Runtime refuses of a graph that it takes untouched is attune's fault, typed or not. */
function refuseFailure(probing: Probing, stage: string): void {
  const code = probing.codes[stage];
  if (code === 'SESSION_FAILED' || code === 'RUN_FAILED')
    probing.wrong(stage, `${code} where the untouched file runs`);
}

/** Four tokens where there are token ids. */
function feedsOf(file: OnnxFile, runtime: Runtime): Feeds {
  const lead = file.model.graph.inputs.find(({ name }) => /^(decoder_)?input_ids$/.test(name));
  return completeFeeds(file.model.graph, lead ? { [lead.name]: [[3, 5, 7, 9]] } : {}, runtime);
}

async function untouched(
  probing: Probing,
  bytes: Uint8Array,
  feeds: Feeds,
  runtime: Runtime,
): Promise<Tensors | undefined> {
  try {
    probing.stage('runtime', () => {});
    const session = await runtime.InferenceSession.create(bytes, EXACT);
    const outputs = (await session.run(feeds)) as unknown as Tensors;
    await session.release?.();
    return outputs;
  } catch {
    return undefined;
  }
}

async function outputsOf(
  file: OnnxFile,
  facts: ModelFacts,
  plan: Plan,
  feeds: Feeds,
  runtime: Runtime,
  knobs: Readonly<Record<string, { readonly dims: readonly number[]; readonly data: never }>> | object = {},
): Promise<{ outputs: Tensors; taps: Tensors }> {
  await using session = await createSession(file, facts.recognition, plan, {
    runtime,
    weights: 'copy',
    session: EXACT,
  });
  for (const [name, value] of Object.entries(knobs)) session.setKnob(name, value);
  const taps: Record<string, Tensors[string]> = {};
  session.listen((values) => {
    for (const [name, tensor] of values) taps[name] = tensor as Tensors[string];
  });
  return { outputs: (await session.run(feeds)) as unknown as Tensors, taps };
}

const finite = (data: Tensors[string]['data']) => {
  if (!(data instanceof Float32Array)) return true;
  return data.every(Number.isFinite);
};

/** @returns the first output that is not the same, byte for byte */
function difference(plain: Tensors, other: Tensors): string | undefined {
  const name = Object.keys(plain).find((key) => !same(plain[key]!, other[key]));
  return name === undefined ? undefined : `output ${name} differs from the untouched file's`;
}

function same(a: Tensors[string], b: Tensors[string] | undefined): boolean {
  if (!b || String(a.dims) !== String(b.dims)) return false;
  const bytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
    Buffer.from(buffer, byteOffset, byteLength);
  if (!ArrayBuffer.isView(a.data)) return String(a.data) === String(b.data);
  return bytes(a.data).equals(bytes(b.data as unknown as ArrayBufferView));
}
