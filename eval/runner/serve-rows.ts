/** The worker's side: loads a model, scores what it is sent, ends when the runner does, however that ends. */
import type { EvalModel, ModelOptions } from '../models/load.ts';
import type { EvalIntervention } from '../models/needs.ts';
import { inProcess, type Scorer } from './scorer.ts';
import { type FromWorker, failureOf, fromMessage, type ToWorker } from './worker-messages.ts';

export interface Served {
  loadModel(idOrFolder: string, options: ModelOptions): Promise<EvalModel>;
  readIntervention(json: Record<string, unknown>): EvalIntervention | Promise<EvalIntervention>;
}

/** To be called once, in a process that was forked. */
export function serveRows({ loadModel, readIntervention }: Served): void {
  const say = (message: FromWorker) =>
    // The runner may be gone already, in which case 'disconnect' ends this process.
    void process.send!(message, undefined, undefined, () => undefined);
  let scorer: Scorer | undefined;

  const answer = async (message: ToWorker) => {
    if (message.say === 'load') {
      scorer = inProcess(await loadModel(message.model, message.options));
      const { name, fingerprint, software } = scorer;
      say({ say: 'ready', name, fingerprint, software });
      return;
    }
    if (message.say === 'check') {
      await scorer!.checkProfile(message.profile);
      say({ say: 'done' });
      return;
    }
    if (message.say === 'map') {
      const setting = await fromMessage(message.setting, readIntervention);
      say({ say: 'maps', maps: await scorer!.headMaps(setting, message.items) });
      return;
    }
    const { settings, ...job } = message.job;
    const read = await Promise.all(settings.map((setting) => fromMessage(setting, readIntervention)));
    for await (const row of scorer!.score({ ...job, settings: read })) say({ say: 'row', row });
    say({ say: 'done' });
  };

  // Messages are answered in turn: the model has one set of interventions in force.
  let last = Promise.resolve();
  process.on('message', (message: ToWorker) => {
    last = last
      .then(() => answer(message))
      .catch((error: unknown) => say({ say: 'failed', error: failureOf(error) }));
  });
  process.on('disconnect', () => process.exit());
  // Ctrl-C reaches the whole group; the runner decides when the work ends.
  process.on('SIGINT', () => undefined);
}
