/**
 * An image encoder that tells what its class token attends to, for interventions that choose image tokens by it. Until
 * one of them is in force the encoder is the one that was loaded; then a second session of the same file is made, with
 * the attention of two layers as outputs.
 */
import { AttuneError } from '../../errors.ts';
import type { OnnxFile } from '../../onnx/index.ts';
import {
  createSession,
  type Feeds,
  type HookedSession,
  type OrtSession,
  type OrtTensor,
  type SessionOptions,
  type TapListener,
} from '../session/index.ts';
import { modelFacts } from './facts.ts';
import type { UntouchedRuns } from './live-session.ts';
import type { ImageAttention } from './request.ts';

export interface EncoderOptions {
  open(): Promise<OnnxFile>;
  readonly config: Readonly<Record<string, unknown>>;
  readonly session: SessionOptions;
  readonly untouchedRuns?: UntouchedRuns | undefined;
}

interface Hooked {
  readonly session: HookedSession;
  /** Hook points of the first layer and of that before the last. */
  readonly points: readonly string[];
}

export class ListeningEncoder {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  config: unknown;
  readonly #plain: OrtSession;
  readonly #options: EncoderOptions;
  #hooked: Promise<Hooked> | undefined;
  #file: OnnxFile | undefined;

  constructor(plain: OrtSession & { config?: unknown }, options: EncoderOptions) {
    this.#plain = plain;
    this.#options = options;
    this.inputNames = plain.inputNames;
    this.outputNames = plain.outputNames;
    this.config = plain.config;
  }

  get inputMetadata() {
    return this.#plain.inputMetadata;
  }

  get outputMetadata() {
    return this.#plain.outputMetadata;
  }

  /** @param seen is told what the class token attends to; undefined where nobody wants to know */
  async run(
    feeds: Feeds,
    seen: ((attention: ImageAttention) => void) | undefined,
    ...rest: object[]
  ): Promise<Record<string, OrtTensor>> {
    if (!seen) {
      const { untouchedRuns } = this.#options;
      const plain = () => this.#plain.run(feeds, ...rest);
      return untouchedRuns ? untouchedRuns('vision_encoder', feeds, plain) : plain();
    }
    this.#hooked ??= this.#open().catch((error: unknown) => {
      this.#hooked = undefined;
      throw error;
    });
    const { session, points } = await this.#hooked;
    const listener: TapListener = (taps) => {
      const [one, other] = points.map((name) => classRow(taps.get(name)!));
      seen({ dims: one!.dims, first: one!.data, penultimate: other!.data });
    };
    const settings = { knobs: session.knobTensors({}), listeners: new Set([listener]) };
    return (await session.pass(feeds, { settings }, ...rest)).outputs;
  }

  /** @throws AttuneError ENCODER_LAYERS, NO_ATTENTION */
  async #open(): Promise<Hooked> {
    this.#file = await this.#options.open();
    const facts = modelFacts(this.#file, this.#options.config);
    const first = facts.decoder[0]!;
    const penultimate = facts.decoder[penultimateLayer(this.#options.config, facts.decoder.length)]!;
    const points = [first, penultimate].map(
      (site) => facts.points.find((point) => point.kind === 'hook_pattern' && point.site === site)!,
    );
    const session = await createSession(
      this.#file,
      facts.recognition,
      { taps: [...new Set(points)] },
      this.#options.session,
    );
    return { session, points: points.map(({ name }) => name) };
  }

  async release(): Promise<void> {
    await (await this.#hooked)?.session.release();
    this.#file?.close();
    await this.#plain.release();
  }
}

/**
 * The layer whose output the language model is given, where the last one is not used; an export may lack the last.
 * @throws AttuneError ENCODER_LAYERS
 */
function penultimateLayer({ vision_config }: Readonly<Record<string, unknown>>, exported: number): number {
  const layers = (vision_config as { num_hidden_layers?: unknown } | undefined)?.num_hidden_layers;
  if (typeof layers === 'number' && layers >= 2 && (exported === layers || exported === layers - 1))
    return layers - 2;
  throw new AttuneError('ENCODER_LAYERS', {
    at: 'vision_encoder',
    found: `${exported} layers of attention in the file, ${layers ?? 'no number of them'} in vision_config`,
    expected: 'an encoder with all of its layers, or all but the last',
  });
}

/** Row 0 of [I, H, 1 + N, 1 + N] without its first column: [I, H, N]. */
function classRow({ dims, data }: OrtTensor): { dims: [number, number, number]; data: Float32Array } {
  const [I, H, rows, columns] = dims as [number, number, number, number];
  const result = new Float32Array(I * H * (columns - 1));
  for (let i = 0; i < I * H; i++) {
    const from = i * rows * columns;
    result.set((data as Float32Array).subarray(from + 1, from + columns), i * (columns - 1));
  }
  return { dims: [I, H, columns - 1], data: result };
}
