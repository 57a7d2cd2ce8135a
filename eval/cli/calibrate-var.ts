/** attune calibrate --intervention var: sink dimensions and τ of a vision-language model, from prompts with pictures. */
import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { AutoConfig, AutoModelForImageTextToText, AutoTokenizer, Tensor } from '@huggingface/transformers';
import { findSinks, makeProfile, promptStreams, type SinkReport } from '../../calibration/index.ts';
import { AttuneError } from '../../errors.ts';
import {
  type AttunedModel,
  asDtype,
  from_pretrained,
  type TransformersModel,
} from '../../hooks/model/index.ts';
import { visualRedistribution } from '../../interventions/index.ts';
import { planTask } from '../evaluate/planned-task.ts';
import { loading } from '../models/load.ts';
import { imagePromptEncoder, sessionTypes } from '../models/vision-language.ts';
import { promptOf } from '../outputs/index.ts';
import { type CausalTokenizer, causalLanguageModel } from '../scoring/causal-language-model.ts';
import type { CausalModel } from '../scoring/pass.ts';
import type { Arguments } from './arguments.ts';
import { required } from './eval-options.ts';
import { runtimeOf } from './model-flags.ts';

/** Prompts, over all tasks; more change nothing. */
const SAMPLES = 32;

export interface VarCalibration {
  readonly profile: object;
  readonly sinks: SinkReport;
  readonly samples: number;
}

/** @throws AttuneError MODEL_LOAD, CALIBRATION_TOO_FEW, and those of planning a task */
export async function calibrateVar(args: Arguments, name: string): Promise<VarCalibration> {
  const seed = args.integer('seed') ?? 0;
  const samples = args.integer('samples', 1) ?? SAMPLES;
  const tasks = [];
  for (const task of required(args, 'task', 'calibrate')) {
    const split = args.text('split') ?? (task.startsWith('worlds-') ? 'calibration' : undefined);
    tasks.push(await planTask(task, args.text('data'), { limit: samples, seed, skipBad: false, split }));
  }
  const dtype = asDtype(args.text('dtype') ?? 'fp32');
  const device = args.text('device') ?? 'cpu';
  const local = existsSync(name);
  const path = local ? resolve(name) : name;
  const where = { local_files_only: local };
  const tokenizer: CausalTokenizer = await loading(name, () => AutoTokenizer.from_pretrained(path, where));
  const config = (await loading(name, () => AutoConfig.from_pretrained(path, where))) as unknown as Record<
    string,
    unknown
  >;
  const types = local ? sessionTypes(path, dtype) : dtype;
  const model: TransformersModel & AttunedModel = await loading(name, () =>
    from_pretrained(AutoModelForImageTextToText as never, path, {
      ...where,
      dtype: types,
      device,
      ...runtimeOf(args),
    }),
  );
  try {
    const language = causalLanguageModel(model as unknown as CausalModel, tokenizer);
    const encodeImagePrompt = await loading(name, () => imagePromptEncoder(path, where, config, language));
    const streams = [];
    for (const item of tasks.flatMap(({ items }) => items).slice(0, samples)) {
      if (!item.picture) continue;
      const { text, picture } = await encodeImagePrompt(promptOf(item).context, item.picture);
      const ids = language.encode(text);
      const inputs = {
        input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]),
        attention_mask: new Tensor('int64', new BigInt64Array(ids.length).fill(1n), [1, ids.length]),
        ...picture?.inputs,
      };
      streams.push(await promptStreams(model, inputs));
    }
    const sinks = findSinks(streams);
    const intervention = visualRedistribution({ dimensions: [...sinks.dimensions], tau: sinks.tau });
    const profile = await makeProfile(model, [intervention], {
      model: basename(resolve(name)),
      modelOptions: { dtype, device },
      data: tasks.flatMap(({ task, split, files }) =>
        files.map(({ file, sha256 }) => ({ task: task.name, split, file, sha256 })),
      ),
      seed,
      sinks,
    });
    return { profile, sinks, samples: streams.length };
  } finally {
    await model.dispose();
  }
}

export function varSummary({ sinks, samples }: VarCalibration, out: string, model: string): string {
  const { dimensions, tau, tauFrom, massive, bound, phi } = sinks;
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const why = {
    paper: 'the paper’s value',
    gap: `from the data: φ has a gap there (factor ${sinks.gap.toFixed(2)}); φ never exceeds √D = ${bound.toFixed(1)}`,
    quantile: `the 95th percentile of picture tokens, for want of a gap in φ; φ never exceeds √D = ${bound.toFixed(1)}`,
  };
  return [
    `sink dimensions ${dimensions.join(', ')}: ${sinks.leading
      .slice(0, 5)
      .map(({ dimension, score }) => `${dimension} (${score.toFixed(1)})`)
      .join(', ')}; median ${sinks.median.toFixed(2)}`,
    `tau ${tau}, ${why[tauFrom]}`,
    `φ: first token ${phi.first.toFixed(1)}, text ${phi.text.median.toFixed(2)} (95 %: ${phi.text.p95.toFixed(2)}), picture ${phi.picture.median.toFixed(2)} (95 %: ${phi.picture.p95.toFixed(2)})`,
    `sinks: ${percent(sinks.sinks.picture)} of picture tokens, ${percent(sinks.sinks.text)} of text, over ${samples} prompts and layers ${sinks.layers.join(', ')}`,
    massive ? '' : 'this model has no massive activations: VAR does not apply to it as published\n',
    `profile: ${out}`,
    `try it: attune eval --model ${model} --profile ${out} --task …`,
    '',
  ].join('\n');
}

/** @throws AttuneError ARGUMENT_INVALID for flags of a search, which would be ignored */
export function refuseSearchFlags(args: Arguments, flags: readonly string[]): void {
  const flag = flags.find((name) => args.text(name) !== undefined);
  if (flag === undefined) return;
  throw new AttuneError('ARGUMENT_INVALID', {
    at: `--${flag}`,
    found:
      'a flag that var does not have: it is calibrated from the residual stream, without a search, and its model has a file for each session',
    hint: '--help says which belong to which',
  });
}
