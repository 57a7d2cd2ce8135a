/**
 * The two sides of the comparison: transformers.js as it is, and with attune behind its session. Same file, same
 * session options, and a door before each run of the session at which the two can be made to take turns.
 */
import { AutoModelForCausalLM, type PreTrainedModel, Tensor } from '@huggingface/transformers';
import { from_pretrained, type Intervention } from '../../hooks/model/index.ts';
import { loadRuntime, type OrtSession, type Runtime } from '../../hooks/session/index.ts';
import { act, emphasis, pine, steer, zeroTuning } from '../../interventions/index.ts';
import type { DecoderConfig } from '../../testbed/builders/decoder-config.ts';
import type { Player } from '../lockstep.ts';
import { QWEN_05B, qwenInt4Folder } from '../models/qwen-int4.ts';
import { SMOLLM2_135M, smolLm2Int4Folder } from '../models/smollm2-int4.ts';
import type { Clock } from '../paired.ts';

export type Variant =
  | 'nothing on'
  | 'one γ'
  | 'γ per head'
  | 'ACT, all heads'
  | 'PINE, 10 documents'
  | 'steer, all layers'
  | 'steer to a range, all layers'
  | 'PASTA, half the heads';

/** A model that is measured, by its folder. */
export interface Shape {
  readonly name: string;
  readonly config: DecoderConfig;
  readonly folder: () => Promise<string>;
}

export const QWEN: Shape = { name: 'Qwen2.5-0.5B', config: QWEN_05B, folder: qwenInt4Folder };
export const SMOLLM2: Shape = { name: 'SmolLM2-135M', config: SMOLLM2_135M, folder: smolLm2Int4Folder };

/** Ten documents that fill a prompt of 1,024 tokens but for 24 before and 40 after them. */
const DOCUMENTS = Array.from({ length: 10 }, (_, i): [number, number] => [24 + 96 * i, 120 + 96 * i]);

/** Two spans of an instruction, about a tenth of a prompt of 300 tokens. */
const SPANS: [number, number][] = [
  [4, 20],
  [40, 54],
];

/** Some direction in every layer. */
function everyLayer({ numLayers, hiddenSize }: DecoderConfig): Record<string, number[]> {
  const direction = Array.from({ length: hiddenSize }, (_, i) => Math.sin(1 + 1.7 * i));
  return Object.fromEntries(Array.from({ length: numLayers }, (_, layer) => [`${layer}`, direction]));
}

/** Spinning threads use processor time while they wait, which only a quiet machine may count. */
export function sessionOptions(clock: Clock): object {
  return clock === 'wall' ? {} : { extra: { session: { intra_op: { allow_spinning: '0' } } } };
}

export class Contestant {
  readonly #model: PreTrainedModel;
  /** Awaited before each run of the session. */
  #door: () => Promise<void> = async () => {};

  private constructor(model: PreTrainedModel) {
    this.#model = model;
  }

  static async plain(shape: Shape, clock: Clock): Promise<Contestant> {
    const folder = await shape.folder();
    const options = { dtype: 'q4', session_options: sessionOptions(clock) } as const;
    const model = await AutoModelForCausalLM.from_pretrained(folder, options);
    const contestant = new Contestant(model);
    const sessions = model.sessions as unknown as Record<string, OrtSession>;
    sessions.model = withDoor(sessions.model!, () => contestant.#door());
    return contestant;
  }

  static async attuned(shape: Shape, clock: Clock, variant: Variant): Promise<Contestant> {
    let open = async () => {};
    const model = await from_pretrained(AutoModelForCausalLM, await shape.folder(), {
      dtype: 'q4',
      // The same ONNX Runtime on both sides: bench/native compares runtimes.
      runtime: await doorRuntime(() => open()),
      session_options: sessionOptions(clock) as Record<string, unknown>,
      interventions: interventionsOf(shape, variant),
    });
    const contestant = new Contestant(model);
    open = () => contestant.#door();
    return contestant;
  }

  /** Greedy generation from a prompt of `context` tokens; one step per new token, the first one the prefill. */
  generation(context: number, newTokens: number): Player {
    return async (step) => {
      this.#door = step;
      const ids = BigInt64Array.from({ length: context }, (_, i) => BigInt((i * 7919 + 13) % 49_000));
      await this.#model.generate({
        inputs: new Tensor('int64', ids, [1, context]),
        attention_mask: new Tensor('int64', new BigInt64Array(context).fill(1n), [1, context]),
        max_new_tokens: newTokens,
        do_sample: false,
      } as Parameters<PreTrainedModel['generate']>[0]);
    };
  }

  async dispose(): Promise<void> {
    await this.#model.dispose();
  }
}

function interventionsOf({ config }: Shape, variant: Variant): Intervention[] {
  if (variant === 'nothing on') return [];
  if (variant === 'ACT, all heads') return [act({ heads: 'all' })];
  if (variant === 'PINE, 10 documents') return [pine({ documents: DOCUMENTS })];
  if (variant === 'steer, all layers') return [steer({ directions: everyLayer(config), strength: 0.01 })];
  if (variant === 'steer to a range, all layers') {
    return [steer({ directions: everyLayer(config), mode: 'clamp', range: [-1, 1] })];
  }
  if (variant === 'PASTA, half the heads') {
    const heads = Array.from({ length: config.numHeads }, (_, head) => head).filter((head) => head % 2 === 0);
    return [emphasis({ spans: SPANS, heads })];
  }
  return [zeroTuning({ gamma: variant === 'one γ' ? 1.4 : headGammas(config) })];
}

/** The session with `open` awaited before each run. */
export function withDoor(session: OrtSession, open: () => Promise<void>): OrtSession {
  return new Proxy(session, {
    get(target, property) {
      if (property === 'run') {
        return async (...args: Parameters<OrtSession['run']>) => {
          await open();
          return target.run(...args);
        };
      }
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** onnxruntime-node with a door at each session: those of a model with attune are made when they are needed. */
export async function doorRuntime(open: () => Promise<void>): Promise<Runtime> {
  const { InferenceSession, Tensor } = await loadRuntime('node');
  const create: Runtime['InferenceSession']['create'] = async (...args) =>
    withDoor(await InferenceSession.create(...args), open);
  return { InferenceSession: { create }, Tensor };
}

/** A table in which neighbouring heads and layers differ, around 1 as searches find them. */
function headGammas({ numLayers, numHeads }: DecoderConfig): number[][] {
  return Array.from({ length: numLayers }, (_, layer) =>
    Array.from({ length: numHeads }, (_, head) => 0.6 + ((layer * 5 + head * 3) % 11) * 0.15),
  );
}
