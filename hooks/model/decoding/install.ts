/**
 * Puts decoding interventions behind a model's own `forward` and `generate`. With none in force both are exactly the model's.
 */
import type { Intervention } from '../intervention.ts';
import type { LiveSession } from '../live-session.ts';
import type { RequestTracker } from '../request.ts';
import { ContrastStreams, type Forward } from './contrast.ts';
import type { Decoding, SearchModel } from './decoding.ts';

/** The methods of a transformers.js model that are stood before. */
interface Decodable {
  forward: Forward;
  generate?(options: Record<string, unknown>): Promise<unknown>;
}

export function installDecoding(
  model: object,
  live: LiveSession,
  tracker: RequestTracker,
  imageToken: number | undefined,
): void {
  const target = model as Decodable;
  const forward = target.forward.bind(target) as Forward;
  const streams = new ContrastStreams(forward, live, tracker, imageToken);
  let generating = false;
  target.forward = (inputs) => {
    const active = decodingIn(live.interventions);
    return active?.decoding.kind === 'contrast'
      ? streams.run(active.intervention, active.decoding, inputs, generating)
      : forward(inputs);
  };
  if (!target.generate) return;
  const generate = target.generate.bind(target);
  target.generate = async (options) => {
    const active = decodingIn(live.interventions);
    if (active?.decoding.kind === 'search') {
      return active.decoding.generate(model as unknown as SearchModel, options);
    }
    generating = true;
    try {
      return await generate(options);
    } finally {
      generating = false;
    }
  };
}

/** The one decoding intervention in force; LiveSession refuses a second. */
function decodingIn(
  interventions: readonly Intervention[],
): { intervention: Intervention; decoding: Decoding } | undefined {
  for (const intervention of interventions) {
    const decoding = intervention.kind.decoding?.(intervention);
    if (decoding) return { intervention, decoding };
  }
  return undefined;
}
