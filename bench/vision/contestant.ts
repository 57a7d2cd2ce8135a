/**
 * A language model as a vision-language model has it: prompts with a run of 576 image tokens, as LLaVA-1.5 puts them. The
 * decoder is that of bench/overhead, of the shape of Qwen2.5-0.5B in 4 bits, which is the one of LLaVA-OneVision 0.5B; it
 * takes token ids, so that no encoder and no embedding is timed. What is timed is a step of generation.
 */
import { AutoModelForCausalLM, type PreTrainedModel, Tensor } from '@huggingface/transformers';
import { type AttunedModel, type Intervention, wrap } from '../../hooks/model/index.ts';
import type { OrtSession } from '../../hooks/session/index.ts';
import type { Player } from '../lockstep.ts';
import { qwenInt4Folder } from '../models/qwen-int4.ts';
import { doorRuntime, sessionOptions, withDoor } from '../overhead/models.ts';
import type { Clock } from '../paired.ts';

/** A token id of the vocabulary that text below does not use. */
const IMAGE = 151_655;
const BEFORE = 32;
export const PICTURE = 576;
const AFTER = 32;

export class Contestant {
  readonly #model: PreTrainedModel & Partial<Omit<AttunedModel, 'generate'>>;
  #door: () => Promise<void> = async () => {};

  private constructor(model: PreTrainedModel) {
    this.#model = model;
  }

  static async plain(clock: Clock): Promise<Contestant> {
    const model = await load(clock);
    const contestant = new Contestant(model);
    const sessions = model.sessions as unknown as Record<string, OrtSession>;
    sessions.model = withDoor(sessions.model!, () => contestant.#door());
    return contestant;
  }

  static async attuned(clock: Clock, interventions: readonly Intervention[]): Promise<Contestant> {
    const model = await load(clock);
    const session_options = sessionOptions(clock) as Record<string, unknown>;
    let open = async () => {};
    const runtime = await doorRuntime(() => open());
    const options = { interventions, session_options, runtime };
    const contestant = new Contestant(await wrap(model, await qwenInt4Folder(), options));
    open = () => contestant.#door();
    return contestant;
  }

  /** What the last prompt's intervention reported. */
  report(name: string): number {
    return this.#model.attune!.reports.get(name) as number;
  }

  /** Greedy generation; one step per new token, the first one the prefill. */
  generation(newTokens: number): Player {
    return async (step) => {
      this.#door = step;
      const text = (i: number) => BigInt((i * 7919 + 13) % 50_000);
      const ids = BigInt64Array.from({ length: BEFORE + PICTURE + AFTER }, (_, i) =>
        i >= BEFORE && i < BEFORE + PICTURE ? BigInt(IMAGE) : text(i),
      );
      await this.#model.generate({
        inputs: new Tensor('int64', ids, [1, ids.length]),
        attention_mask: new Tensor('int64', new BigInt64Array(ids.length).fill(1n), [1, ids.length]),
        max_new_tokens: newTokens,
        do_sample: false,
      } as Parameters<PreTrainedModel['generate']>[0]);
    };
  }

  async dispose(): Promise<void> {
    await this.#model.dispose();
  }
}

async function load(clock: Clock): Promise<PreTrainedModel> {
  const options = { dtype: 'q4', session_options: sessionOptions(clock) } as const;
  const model = await AutoModelForCausalLM.from_pretrained(await qwenInt4Folder(), options);
  Object.assign(model.config, { image_token_id: IMAGE });
  return model;
}
