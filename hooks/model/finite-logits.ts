/**
 * Logits that nothing can be chosen from: greedy decoding takes token 0 of them, in silence. A −∞ is a token that is forbidden;
 * NaN and +∞ are no scores, nor is a row of −∞ alone.
 */
import { AttuneError } from '../../errors.ts';

/** float16 bits of +∞; NaN lies above. */
const HALF_INFINITY = 0x7c00;
const HALF_SIGN = 0x8000;

/**
 * @param logits [B,S,V] tensor; the last position of each row is looked at
 * @param step of the generation, 0 for the prompt
 * @throws AttuneError LOGITS_NOT_FINITE
 */
export function checkFinite(logits: unknown, step: number): void {
  const {
    dims,
    data,
    type,
    location = 'cpu',
  } = (logits ?? {}) as {
    dims?: readonly number[];
    data?: ArrayLike<number>;
    type?: string;
    location?: string;
  };
  // On a GPU they are read when they are needed.
  if (dims?.length !== 3 || location !== 'cpu' || !data) return;
  const half = type === 'float16' && data instanceof Uint16Array;
  const [B, S, V] = dims as [number, number, number];
  for (let row = 0; row < B; row++) {
    const from = (row * S + S - 1) * V;
    const fault = half ? halfFault(data, from, V) : floatFault(data, from, V);
    if (fault === undefined) continue;
    throw new AttuneError('LOGITS_NOT_FINITE', {
      at: `step ${step} of the generation${step === 0 ? ', the prompt' : ''}, row ${row}`,
      found: fault,
      expected: 'a finite score for at least one token, and for none NaN or +∞',
      hint: 'Halves overflow where floats do not: try dtype fp32, and the untouched model, to see where it comes from.',
    });
  }
}

function floatFault(data: ArrayLike<number>, from: number, V: number): string | undefined {
  let possible = false;
  for (let v = from; v < from + V; v++) {
    const score = data[v]!;
    if (!(score < Number.POSITIVE_INFINITY)) return `${score} for token ${v - from}`;
    if (score > Number.NEGATIVE_INFINITY) possible = true;
  }
  return possible ? undefined : '−∞ for every token';
}

function halfFault(data: ArrayLike<number>, from: number, V: number): string | undefined {
  let possible = false;
  for (let v = from; v < from + V; v++) {
    const bits = data[v]!;
    const size = bits & ~HALF_SIGN;
    if (size > HALF_INFINITY) return `NaN for token ${v - from}`;
    if (bits === HALF_INFINITY) return `Infinity for token ${v - from}`;
    if (size < HALF_INFINITY) possible = true;
  }
  return possible ? undefined : '−∞ for every token';
}
