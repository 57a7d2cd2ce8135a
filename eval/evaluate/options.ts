/** What `evaluate` is asked, and what of it is wrong before anything is read. */
import { z } from 'zod';
import { AttuneError, nearest } from '../../errors.ts';
import { asDtype, type Dtype, type InterventionJSON, kindOf } from '../../hooks/model/index.ts';
import { RUNTIME_NAMES, type RuntimeName } from '../../hooks/session/index.ts';
import type { EvalModel } from '../models/load.ts';
import type { EvalIntervention } from '../models/needs.ts';
import type { ChatOptions } from '../scoring/chat-template.ts';
import type { Task, TaskDefinition } from '../tasks/definition.ts';

/** An intervention, as its function returns it or as JSON. */
export type GivenIntervention = EvalIntervention | InterventionJSON;

/** What `attune eval` has as flags. Defaults are the command's. */
export interface EvaluateOptions {
  /** A folder in Hub layout or a Hub id, or several. Each set of edits has a session of its own, so models are loaded here. */
  readonly model: string | EvalModel | readonly (string | EvalModel)[];
  /** Names of built-in tasks, task files, or definitions as `defineTask` checks them. */
  readonly tasks: string | TaskDefinition | Task | readonly (string | TaskDefinition | Task)[];
  /** Measured besides each task's own metrics (docs/evaluation.md). Default none. */
  readonly metrics?: readonly string[] | undefined;
  /** Each entry is compared with the baseline on the same items; an entry that is a list is in force as a whole. Default none. */
  readonly interventions?: readonly (GivenIntervention | readonly GivenIntervention[])[] | undefined;
  /** Paths of profiles of `attune calibrate`, or what is in them; each is compared likewise. Default none. */
  readonly profiles?: readonly (string | object)[] | undefined;
  /** Folder of the tasks' files, or one file; default: beside the task file, $ATTUNE_DATA, ./data, ../shared/data. */
  readonly data?: string | undefined;
  /** Folder of the tasks' pictures; default: the data. */
  readonly images?: string | undefined;
  /** Tasks and records may name files and pictures outside these folders. Default false. */
  readonly allowOutside?: boolean | undefined;
  /** Part of the data; default: each task's own. */
  readonly split?: string | undefined;
  /** A sample of so many items of each task; default all. */
  readonly limit?: number | undefined;
  /** Of the sample, of the worlds' items and of the bootstrap. Default 0. */
  readonly seed?: number | undefined;
  /** Only the items of these ids, without a sample. Default all. */
  readonly sampleIds?: readonly string[] | undefined;
  /** Bounds such as "delta.acc>=-0.01@p95". Default none. */
  readonly gates?: readonly string[] | undefined;
  /** Of the bootstrap, at least 100. Default 10,000. */
  readonly resamples?: number | undefined;
  /** Prompts of each task on which is measured what each head does. Default 0. */
  readonly headMaps?: number | undefined;
  /** Part of the run, such as '2/8': its items alone, which `attune merge` puts together. Default: the whole. */
  readonly shard?: string | undefined;
  /** Processes that score side by side, each with the model in memory. Default 1: this one. */
  readonly workers?: number | undefined;
  /** Threads of each process; default with workers: those of the machine shared among them. */
  readonly threads?: number | undefined;
  /** Number type of the weights. Default 'fp32'. */
  readonly dtype?: Dtype | undefined;
  /** Name of the graph in onnx/, without the ending for the number type. Default 'model'. */
  readonly modelFile?: string | undefined;
  /** Default 'cpu'. */
  readonly device?: string | undefined;
  /** What runs the sessions. Default: native where its addon was built, else onnxruntime. */
  readonly runtime?: RuntimeName | undefined;
  /** Prompts are put as chats by the model's template; `system` is the first turn. Default: as plain text. */
  readonly chat?: ChatOptions | undefined;
  /** Count bad records instead of stopping at the first. Default false. */
  readonly skipBad?: boolean | undefined;
  /** Folder for rows and reports, where a run that was cut short goes on. Default: nothing is written. */
  readonly out?: string | undefined;
  /** Where progress is written, such as process.stderr. Default nowhere. */
  readonly progress?: { isTTY?: boolean; write(text: string): unknown } | undefined;
  /** Ends the run after the row under way. */
  readonly signal?: AbortSignal | undefined;
}

const isObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const anObject = (expected: string) => z.custom<object>(isObject, { error: expected });
const listOf = <S extends z.ZodType>(one: S, error: string) => z.union([one, z.array(one).min(1)], { error });
const text = z.string().min(1);
const count = z.int().min(1);

const schema = z.strictObject({
  model: listOf(
    z.union([text, z.custom((value) => isObject(value) && 'language' in (value as object))]),
    'a folder in Hub layout or a Hub id: models are loaded here, since each set of edits has a session of its own',
  ),
  tasks: listOf(z.union([text, anObject('a task')]), 'the name of a task, a task file or a definition'),
  metrics: z.array(text).optional(),
  interventions: z
    .array(z.unknown(), {
      error: 'a list, each entry compared with the baseline: [zeroTuning({ gamma: 1.4 })]',
    })
    .optional(),
  profiles: z.array(z.union([text, anObject('a profile')])).optional(),
  data: text.optional(),
  images: text.optional(),
  allowOutside: z.boolean().optional(),
  split: text.optional(),
  limit: count.optional(),
  seed: z.int().min(0).optional(),
  sampleIds: z.array(text).optional(),
  gates: z.array(text).optional(),
  resamples: z.int().min(100).optional(),
  headMaps: z.int().min(0).optional(),
  shard: text.optional(),
  workers: count.optional(),
  threads: count.optional(),
  dtype: text.optional(),
  modelFile: text.optional(),
  device: text.optional(),
  runtime: z.enum(RUNTIME_NAMES).optional(),
  chat: z.strictObject({ system: z.string().optional() }).optional(),
  skipBad: z.boolean().optional(),
  out: text.optional(),
  progress: z
    .custom((value) => typeof (value as { write?: unknown } | null)?.write === 'function', {
      error: 'a stream, such as process.stderr',
    })
    .optional(),
  signal: z.instanceof(AbortSignal).optional(),
});

/** @throws AttuneError OPTION_UNKNOWN with the nearest name, OPTION_INVALID saying what is expected, DTYPE_UNKNOWN */
export function checkEvaluateOptions(options: unknown): asserts options is EvaluateOptions {
  const parsed = schema.safeParse(options);
  if (parsed.success) {
    const { dtype } = options as EvaluateOptions;
    if (dtype !== undefined) asDtype(dtype, 'evaluate, option "dtype"');
    return;
  }
  const [issue] = parsed.error.issues as [z.core.$ZodIssue];
  if (issue.code === 'unrecognized_keys') {
    const [name] = issue.keys as [string];
    throw new AttuneError('OPTION_UNKNOWN', {
      at: 'evaluate',
      found: `option "${name}"`,
      expected: `"${nearest(name, Object.keys(schema.shape), 1)[0]}"`,
      hint: `Options: ${Object.keys(schema.shape).join(', ')}.`,
    });
  }
  const [name] = issue.path;
  throw new AttuneError('OPTION_INVALID', {
    at: name === undefined ? 'evaluate' : `evaluate, option "${String(name)}"`,
    found: kindOf(name === undefined ? options : (options as Record<PropertyKey, unknown>)[name]),
    expected:
      name === undefined
        ? 'an object of options'
        : issue.message.replace(/^Invalid (input|option): expected /, ''),
    hint: "Write evaluate({ model: 'folder or Hub id', tasks: ['copa'], interventions: [zeroTuning({ gamma: 1.4 })] }).",
  });
}
