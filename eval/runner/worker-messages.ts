/** What the runner and its worker processes say to each other, as JSON over Node's channel. */
import type { Profile } from '../../calibration/index.ts';
import { AttuneError, isAttuneError } from '../../errors.ts';
import type { HeadMap } from '../models/head-maps.ts';
import type { EvalModel, ModelOptions } from '../models/load.ts';
import type { EvalIntervention } from '../models/needs.ts';
import type { Item } from '../outputs/index.ts';
import type { Row } from './row.ts';
import type { Job } from './scorer.ts';
import type { Setting } from './setting.ts';

export interface SettingMessage extends Pick<Setting, 'label' | 'specHash'> {
  interventions: Record<string, unknown>[];
}

export type ToWorker =
  | { say: 'load'; model: string; options: ModelOptions }
  | { say: 'check'; profile: Profile }
  | { say: 'map'; setting: SettingMessage; items: readonly Item[] }
  | { say: 'score'; job: Omit<Job, 'settings'> & { settings: SettingMessage[] } };

export type FromWorker =
  | ({ say: 'ready' } & Pick<EvalModel, 'name' | 'fingerprint' | 'software'>)
  | { say: 'maps'; maps: HeadMap[] }
  | { say: 'row'; row: Omit<Row, 'key'> }
  /** All rows of the job are sent, or the profile is the model's. */
  | { say: 'done' }
  | { say: 'failed'; error: Failure };

export interface Failure {
  message: string;
  stack?: string | undefined;
  /** Of an AttuneError. */
  details?: Pick<AttuneError, 'code' | 'found' | 'expected' | 'at' | 'hint'>;
}

export const toMessage = ({ label, specHash, interventions }: Setting): SettingMessage => ({
  label,
  specHash,
  interventions: interventions.map((one) => one.toJSON()),
});

export async function fromMessage(
  { label, specHash, interventions }: SettingMessage,
  read: (json: Record<string, unknown>) => EvalIntervention | Promise<EvalIntervention>,
): Promise<Setting> {
  return { label, specHash, interventions: await Promise.all(interventions.map((json) => read(json))) };
}

export function failureOf(error: unknown): Failure {
  if (!isAttuneError(error)) {
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    return { message, stack };
  }
  const { code, found, expected, at, hint, message } = error;
  return { message, details: { code, found, expected, at, hint } };
}

export function errorOf({ message, stack, details }: Failure): Error {
  if (details) return new AttuneError(details.code, details);
  return Object.assign(new Error(message), { stack });
}
