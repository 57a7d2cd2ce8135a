/** What the runner asks for rows: a model of this process, or worker processes that have one each. */
import type { HeadMap } from '../models/head-maps.ts';
import type { EvalModel } from '../models/load.ts';
import { type Item, promptOf } from '../outputs/index.ts';
import { type EncodedPrompt, encodePrompt } from '../scoring/encode.ts';
import type { Task } from '../tasks/definition.ts';
import type { Row } from './row.ts';
import { scoreRow } from './score-row.ts';
import type { Setting } from './setting.ts';

/** An item under the settings that it has no rows for yet. */
export interface Job {
  task: Task;
  item: Item;
  settings: readonly Setting[];
  skipBad: boolean;
}

export interface Scorer extends Pick<EvalModel, 'name' | 'fingerprint' | 'software' | 'checkProfile'> {
  /** Jobs that may be under way at one time. */
  readonly lanes: number;
  /** A row for each setting, in their order, each as soon as it is computed. */
  score(job: Job): AsyncIterable<Omit<Row, 'key'>>;
  /** Head maps under a setting, on the first tokens of the items' prompts. */
  headMaps(setting: Setting, items: readonly Item[]): Promise<HeadMap[]>;
  /** The baseline again, where a later user expects it. */
  rest(): Promise<void>;
  dispose(): Promise<void>;
}

/** Settings of an item run one after the other in the same process, so that their times compare. */
export function inProcess(model: EvalModel): Scorer {
  const { name, fingerprint, software } = model;
  return {
    name,
    fingerprint,
    software,
    lanes: 1,
    async *score({ task, item, settings, skipBad }) {
      for (const setting of settings) {
        await model.use(setting.interventions);
        yield await scoreRow(model, task, item, setting, skipBad);
      }
    },
    checkProfile: (profile) => model.checkProfile(profile),
    async headMaps(setting, items) {
      await model.use(setting.interventions);
      return model.headMaps(await Promise.all(items.map((item) => promptTokens(model, item))));
    },
    rest: () => model.use([]),
    dispose: () => model.dispose(),
  };
}

/** What fits the model; an item with documents or a picture is taken whole. */
async function promptTokens({ language }: EvalModel, item: Item): Promise<EncodedPrompt> {
  const prompt = await encodePrompt(language, {
    ...promptOf(item),
    picture: item.picture,
    shots: item.shots,
  });
  const whole = prompt.documents ?? prompt.picture;
  return whole ? prompt : { tokens: prompt.tokens.slice(0, language.maxLength) };
}
