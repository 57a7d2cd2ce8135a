/** One item under one setting, scored: a row but for its key. */
import { AttuneError, isAttuneError } from '../../errors.ts';
import type { EvalModel } from '../models/load.ts';
import type { Item } from '../outputs/index.ts';
import { scoreItem } from '../outputs/score-item.ts';
import { noCost } from '../scoring/language-model.ts';
import type { Task } from '../tasks/definition.ts';
import { itemHash, type Row } from './row.ts';
import type { Setting } from './setting.ts';

/**
 * The setting has to be in force already.
 * @param skipBad an item that cannot be scored becomes a row that says so instead of an error.
 * @throws AttuneError with the item's place SCORE_*; MODEL_OUTPUT
 */
export async function scoreRow(
  model: EvalModel,
  task: Task,
  item: Item,
  setting: Setting,
  skipBad: boolean,
): Promise<Omit<Row, 'key'>> {
  const identity = {
    model: model.name,
    task: task.name,
    setting: setting.label,
    specHash: setting.specHash,
    item: item.id,
    at: item.at,
    content: itemHash(item),
    ...(item.position !== undefined && { position: item.position }),
    ...(item.slice !== undefined && { slice: item.slice }),
    ...(item.cluster !== undefined && { cluster: item.cluster }),
    ...('gold' in item && { gold: item.gold }),
  };
  try {
    const { terms, cost, ...score } = await scoreItem(model.language, item, task.metrics);
    const residentBytes = process.memoryUsage.rss();
    return { ...identity, ...score, terms: terms as Row['terms'], cost: { ...cost, residentBytes } };
  } catch (error) {
    if (!isAttuneError(error) || !error.code.startsWith('SCORE_')) throw error;
    if (!skipBad) {
      const { code, found, expected, hint = 'With --skip-bad such items are counted and left out' } = error;
      throw new AttuneError(code, { at: item.at, found, expected, hint, cause: error });
    }
    return {
      ...identity,
      logLikelihoods: [],
      terms: {},
      truncated: false,
      unparsable: false,
      skipped: error.message,
      cost: { ...noCost, residentBytes: 0 },
    };
  }
}
