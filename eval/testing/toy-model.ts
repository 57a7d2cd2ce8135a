/**
 * A model for tests of everything around models: its log-likelihoods are an arbitrary but fixed function of the tokens
 * and of the interventions in force, and it can be told to be slow or to fail.
 */
import { createHash } from 'node:crypto';
import { AttuneError } from '../../errors.ts';
import type { EvalModel } from '../models/load.ts';
import type { EvalIntervention } from '../models/needs.ts';
import { noCost } from '../scoring/language-model.ts';

export interface ToyOptions {
  name?: string;
  /** Milliseconds a call takes. */
  delay?: number;
  /** Called with the number of calls so far, before each. */
  onCall?: (calls: number) => void;
  /** Log-likelihood instead of the hash's. */
  score?: (text: string, interventions: readonly EvalIntervention[]) => number;
  /** What it writes instead of a number of the hash's. */
  write?: (prompt: string, interventions: readonly EvalIntervention[]) => string;
}

/** Any name with any parameters but "unknown". */
export function toyIntervention(json: Record<string, unknown>): EvalIntervention {
  if (json.intervention === 'unknown') {
    throw new AttuneError('INTERVENTION_UNKNOWN', { found: 'intervention "unknown"', expected: 'another' });
  }
  const hash = createHash('sha256').update(JSON.stringify(json)).digest('hex');
  return { hash, toJSON: () => json };
}

export function toyModel({ name = 'toy', delay = 0, onCall, score, write }: ToyOptions = {}): EvalModel {
  let active: readonly EvalIntervention[] = [];
  let calls = 0;
  return {
    name,
    fingerprint: `toy:${name}`,
    software: {},
    async use(interventions) {
      active = interventions;
    },
    async checkProfile() {},
    headMaps: async () => [],
    async dispose() {},
    language: {
      maxLength: 1000,
      prefixToken: 0,
      encode: (text) => [...text].map((letter) => letter.codePointAt(0) as number),
      async generate(prompt, { until, maxTokens }) {
        onCall?.(calls++);
        const asked = String.fromCodePoint(...prompt);
        const said = write?.(asked, active) ?? `${Math.floor(-hashed(asked, active) * 50)}`;
        const text = until.reduce((left, end) => left.split(end)[0]!, said.slice(0, maxTokens));
        const tokens = prompt.length + text.length;
        const cost = { ...noCost, tokens, unsharedTokens: tokens, calls: 1, ms: delay };
        return { text, tokens: text.length, finite: true, truncated: false, cost };
      },
      async logLikelihoods(requests) {
        onCall?.(calls++);
        if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay));
        const tokens = requests.reduce(
          (n, { context, continuation }) => n + context.length + continuation.length,
          0,
        );
        return {
          scores: requests.map(({ context, continuation }) => {
            const text = String.fromCodePoint(...context, ...continuation);
            const logLikelihood = score?.(text, active) ?? hashed(text, active) * continuation.length;
            return { logLikelihood, greedy: logLikelihood > -1, truncated: false };
          }),
          cost: { ...noCost, tokens, unsharedTokens: tokens, calls: 1, ms: delay },
        };
      },
    },
  };
}

/** In (−2, 0): mostly decided by the text, a little by the interventions. */
function hashed(text: string, interventions: readonly EvalIntervention[]): number {
  const fraction = (of: string) => createHash('sha256').update(of).digest().readUInt32LE() / 2 ** 32;
  const shift = interventions.length ? fraction(text + interventions.map(({ hash }) => hash).join()) : 0;
  return -(fraction(text) * 1.5 + shift * 0.5);
}
