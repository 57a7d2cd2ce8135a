/** OPERA with fewer candidates on captions of the testbed's pictures, against beam search, and against OPERA with all. */
import type { EvalModel } from '../../eval/models/load.ts';
import { loadEvalModel } from '../../eval/models/load.ts';
import type { CaptionItem } from '../../eval/outputs/caption.ts';
import { builtinTasks } from '../../eval/tasks/builtin/index.ts';
import { loadItems } from '../../eval/tasks/items.ts';
import type { Intervention } from '../../hooks/model/index.ts';
import { beamSearch, opera } from '../../interventions/index.ts';
import { compare, paired, spread } from '../paired.ts';
import type { Case } from '../suite.ts';

const MODEL = 'testbed/models/worlds-vlm';
const TASK = 'worlds-captions-long';
const CAPTIONS = 8;
const PAIRS = 3;
const BOUND = 1.2;

export function captionsCase({ beams, plausibility }: { beams: number; plausibility: number }): Case {
  return {
    case: `OPERA, captions of worlds-vlm, plausibility ${plausibility}`,
    ...(plausibility > 0 && { bound: BOUND }),
    run: async ({ clock, effort }) => {
      const model = await loadEvalModel(MODEL, { threads: 1 });
      try {
        const items = await captionItems();
        const write = (intervention: Intervention) => async () => captions(model, intervention, items);
        const searching = write(beamSearch({ beams }));
        const charging = write(opera({ beams, plausibility }));
        const all = await write(opera({ beams }))();
        const few = await charging();
        const pairs = await paired(searching, charging, { pairs: PAIRS * effort });
        const comparison = compare(pairs, clock);
        const { baselineMs, ms, ratio } = comparison;
        const same = few.filter((text, i) => text === all[i]).length;
        const other = clock === 'wall' ? 'cpu' : 'wall';
        const note = `${spread(comparison)}; ${same} of ${items.length} captions as with all candidates; by ${other} clock ${compare(pairs, other).ratio.toFixed(3)}`;
        return { baselineMs, ms, ratio, note };
      } finally {
        await model.dispose();
      }
    },
  };
}

async function captionItems(): Promise<readonly CaptionItem[]> {
  const task = builtinTasks.get(TASK)!;
  const { items } = await loadItems(task, { root: '', split: 'calibration', limit: CAPTIONS });
  return items.filter((item): item is CaptionItem => item.output === 'caption');
}

async function captions(
  model: EvalModel,
  intervention: Intervention,
  items: readonly CaptionItem[],
): Promise<string[]> {
  const { language } = model;
  await model.use([intervention]);
  const texts: string[] = [];
  for (const { context, picture, until, maxTokens } of items) {
    const posed = await language.encodeImagePrompt!(context, picture!);
    const how = { until, maxTokens, picture: posed.picture };
    texts.push((await language.generate(language.encode(posed.text), how)).text);
  }
  return texts;
}
