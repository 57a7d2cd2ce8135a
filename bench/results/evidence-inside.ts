/**
 * Looking into the untouched model on captions of the test split: what each method would find there. Text rows are those after
 * the picture, of the prompt and of the caption that the model writes.
 */
import { AutoModelForImageTextToText } from '@huggingface/transformers';
import { render, type Scene, sceneOf } from '../../eval/data/worlds/pictures/index.ts';
import { loadEvalModel } from '../../eval/models/load.ts';
import { builtinTasks } from '../../eval/tasks/builtin/index.ts';
import { loadItems } from '../../eval/tasks/items.ts';
import { from_pretrained, type Intervention } from '../../hooks/model/index.ts';
import { chosenTokens } from '../../interventions/imbalanced-attention.ts';
import { interventionFromJSON } from '../../interventions/index.ts';
import { noisedAnswers, searches } from './evidence-decoding.ts';
import {
  inputsOf,
  type Model,
  mean,
  namesOf,
  type Params,
  type Prompt,
  patternsOf,
  withCaption,
} from './evidence-prompts.ts';

const MODEL = 'testbed/models/worlds-vlm';
const CAPTIONS = 100;
/** Side of a patch, and patches in a row. */
const PATCH = 8;
const SIDE = 8;
/** VAR's ρ and least weight on the picture: its defaults, which the study left alone. */
const RHO = 0.5;
const MIN_VISUAL = 0.2;

export type Inside = Awaited<ReturnType<typeof lookInside>>;

/** @param chosen by method, as the study chose them for captions */
export async function lookInside(chosen: ReadonlyMap<string, Params>) {
  const poser = await loadEvalModel(MODEL, { threads: 1 });
  const model = (await from_pretrained(AutoModelForImageTextToText as never, MODEL, {
    dtype: 'fp32',
    session_options: { intraOpNumThreads: 1 },
  })) as unknown as Model;
  try {
    const asked = async (name: string, limit: number) => {
      const { items } = await loadItems(builtinTasks.get(name)!, { root: '', limit, split: 'test' });
      return Promise.all(items.map((item) => inputsOf(poser, item)));
    };
    const captions = await asked('worlds-captions-medium', CAPTIONS);
    return {
      captions: CAPTIONS,
      var: await sinksAndHeads(model, captions, chosen.get('VAR')!),
      vhr: await reinforced(model, captions, chosen.get('VHR')!),
      picture: await massOnPicture(model, captions, chosen),
      imbalanced: await raisedPatches(model, captions, chosen.get('imbalanced')!),
      vcd: await noisedAnswers(model, await asked('worlds-existence-adversarial-written', 200)),
      opera: await searches(model, captions.slice(0, 50), chosen.get('OPERA')!),
    };
  } finally {
    await model.dispose();
    await poser.dispose();
  }
}

/** VAR's conditions, layer by layer: how many tokens are sinks, how often a row and head is selected, what weight moves. */
async function sinksAndHeads(model: Model, prompts: readonly Prompt[], { dimensions, tau, p }: Params) {
  const residuals = namesOf(model, 'hook_resid_pre');
  const layers = residuals.map(() => ({
    tokens: 0,
    sinks: 0,
    text: 0,
    textSinks: 0,
    rows: 0,
    looking: 0,
    selected: 0,
    moved: 0,
    onSinks: 0,
  }));
  for (const prompt of prompts) {
    const whole = await withCaption(model, prompt);
    const { cache } = await model.runWithCache(prompt.inputs, residuals);
    const { layers: patterns, visual, start } = await patternsOf(model, whole);
    for (const [layer, { dims, data }] of patterns.entries()) {
      const own = layers[layer]!;
      const {
        dims: [, S, M],
        data: x,
      } = cache.get(residuals[layer]!)! as { dims: readonly number[]; data: Float32Array };
      const sink = Array.from({ length: S! }, (_, t) => {
        const row = x.subarray(t * M!, (t + 1) * M!);
        const rms = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / M! + 1e-6);
        return Math.max(...(dimensions as number[]).map((d) => Math.abs(row[d]!))) / rms >= (tau as number);
      });
      own.tokens += visual.filter(Boolean).length;
      own.sinks += sink.filter((one, t) => one && visual[t]).length;
      own.text += sink.length - visual.filter(Boolean).length;
      own.textSinks += sink.filter((one, t) => one && !visual[t]).length;
      const [, H, Q, T] = dims as [number, number, number, number];
      for (let h = 0; h < H; h++) {
        for (let s = start; s < Q; s++) {
          const row = data.subarray((h * Q + s) * T, (h * Q + s + 1) * T);
          const mass = (of: (t: number) => boolean) =>
            row.reduce((sum, value, t) => sum + (of(t) ? value : 0), 0);
          const seen = mass((t) => visual[t]!);
          const receiving = mass((t) => visual[t]! && !sink[t]);
          const onSinks = mass((t) => sink[t] ?? false);
          own.rows++;
          own.onSinks += onSinks;
          if (seen < MIN_VISUAL) continue;
          own.looking++;
          if (receiving / seen < RHO) continue;
          own.selected++;
          own.moved += (p as number) * onSinks;
        }
      }
    }
  }
  return layers.map((one) => ({
    visualSinks: one.sinks / one.tokens,
    textSinks: one.textSinks / one.text,
    onSinks: one.onSinks / one.rows,
    looking: one.looking / one.rows,
    selected: one.selected / one.rows,
    movedWhereSelected: one.selected > 0 ? one.moved / one.selected : 0,
  }));
}

/** How often VHR reinforces each head, [L][H]. */
async function reinforced(model: Model, prompts: readonly Prompt[], params: Params) {
  const intervention = interventionFromJSON({ intervention: 'vhr', ...params });
  const [L, H] = [model.attune.facts.decoder.length, model.attune.facts.decoder[0]!.numHeads];
  const counts = Array.from({ length: L }, () => new Array<number>(H).fill(0));
  for (const { inputs } of prompts) {
    await model.using([intervention], async () => {
      await (model as unknown as (inputs: object) => Promise<unknown>)(inputs);
      const { data } = model.attune.reports.get('vhr.factor') as { data: Float32Array };
      counts.forEach((row, l) => {
        for (let h = 0; h < H; h++) row[h]! += data[l * H + h] === 1 ? 0 : 1 / prompts.length;
      });
    });
  }
  return counts;
}

/** Mean weight of the prompt's last row on the picture, by layer, over heads and prompts: untouched and under methods. */
async function massOnPicture(model: Model, prompts: readonly Prompt[], chosen: ReadonlyMap<string, Params>) {
  const methods: [string, Intervention[]][] = [
    ['untouched', []],
    ['var', [interventionFromJSON({ intervention: 'var', ...chosen.get('VAR') })]],
    [
      'imbalanced',
      [interventionFromJSON({ intervention: 'imbalanced-attention', ...chosen.get('imbalanced') })],
    ],
    // Its attention alone: what is seen is one stream.
    ['pai', [interventionFromJSON({ intervention: 'pai', ...chosen.get('PAI'), gamma: 1 })]],
  ];
  const masses: Record<string, number[]> = {};
  for (const [name, interventions] of methods) {
    const byPrompt: number[][] = [];
    for (const { inputs } of prompts) {
      const { layers, visual } = await patternsOf(model, inputs, interventions);
      byPrompt.push(
        layers.map(({ dims, data }) => {
          const [, H, S, T] = dims as [number, number, number, number];
          const row = (h: number) => data.subarray((h * S + S - 1) * T, (h * S + S) * T);
          return mean(
            Array.from({ length: H }, (_, h) =>
              row(h).reduce((sum, value, t) => sum + (visual[t] ? value : 0), 0),
            ),
          );
        }),
      );
    }
    masses[name] = byPrompt[0]!.map((_, layer) => mean(byPrompt.map((one) => one[layer]!)));
  }
  return masses;
}

/** Patches that show anything of a thing: what the scene has over its background. */
function patchesOfThings(scene: Scene): boolean[] {
  const [whole, empty] = [render(scene), render({ ...scene, things: [] })];
  return Array.from({ length: SIDE * SIDE }, (_, patch) => {
    for (let y = 0; y < PATCH; y++) {
      for (let x = 0; x < PATCH; x++) {
        const at = ((Math.floor(patch / SIDE) * PATCH + y) * whole.width + (patch % SIDE) * PATCH + x) * 3;
        // Beyond the noise.
        for (let c = 0; c < 3; c++) if (Math.abs(whole.data[at + c]! - empty.data[at + c]!) > 24) return true;
      }
    }
    return false;
  });
}

/** Share of imbalanced attention's tokens, and of all, that show a thing. */
async function raisedPatches(
  model: Model,
  prompts: readonly Prompt[],
  { localRatio = 0.25, ...params }: Params,
) {
  const intervention = interventionFromJSON({ intervention: 'imbalanced-attention', localRatio, ...params });
  const shares = { all: [] as number[], local: [] as number[], summary: [] as number[] };
  const summaries: number[] = [];
  for (const { item, inputs } of prompts) {
    await model.using([intervention], async () => {
      await (model as unknown as (inputs: object) => Promise<unknown>)(inputs);
      const [image] = chosenTokens(model.attune.request.imageAttention!, localRatio as number);
      const { local, summary } = image!;
      const things = patchesOfThings(sceneOfItem(item));
      const share = (patches: readonly number[]) => mean(patches.map((patch) => (things[patch] ? 1 : 0)));
      shares.all.push(share(things.map((_, patch) => patch)));
      if (local.length > 0) shares.local.push(share(local));
      if (summary.length > 0) shares.summary.push(share(summary));
      summaries.push(summary.length);
    });
  }
  return {
    ...Object.fromEntries(Object.entries(shares).map(([name, of]) => [name, mean(of)])),
    summaries: mean(summaries),
  };
}

function sceneOfItem({ picture }: Prompt['item']): Scene {
  const [, split, seed, i] = picture!.name.split('/') as [string, 'test', string, string];
  return sceneOf(split, Number(seed), Number(i));
}
