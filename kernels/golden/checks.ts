/**
 * Golden cases as problems: which attention calls a case consists of, and what of the answers it fixes. A check is told
 * how to solve problems, so the same cases try the reference and every lowering.
 */
import type { Comparison, Solve } from './check.ts';
import { checkRecycled, checkStreaming } from './checks/cache.ts';
import { checkCompensation, checkTempscale } from './checks/context.ts';
import { checkImbalanced } from './checks/imbalanced.ts';
import { checkAct, checkPine, checkZeroTuning } from './checks/language.ts';
import { checkVar } from './checks/var.ts';
import { checkVhr } from './checks/vhr.ts';
import type { GoldenCase } from './read.ts';

/** @returns undefined for a case that is not attention (texts, decoding rules, head selection) */
export function checkGolden(golden: GoldenCase, solve: Solve): Promise<Comparison[]> | undefined {
  switch (golden.family) {
    case 'act':
      return checkAct(golden.content, solve);
    case 'zerotuning':
      return checkZeroTuning(golden.content, solve);
    case 'pine':
      return checkPine(golden.content, solve);
    case 'var':
      return checkVar(golden.content, solve);
    case 'vhr':
      return checkVhr(golden.content, solve);
    case 'imbalanced':
      return checkImbalanced(golden.content, solve);
    case 'tempscale':
      return checkTempscale(golden.content, solve);
    case 'streamingllm':
      return checkStreaming(golden.content, solve);
    case 'recycled_attention':
      return checkRecycled(golden.content, solve);
    case 'retrieval_heads':
      return golden.content.kind === 'compensation' ? checkCompensation(golden.content, solve) : undefined;
    default:
      return undefined;
  }
}

/**
 * Who computes a case: 'graph', the product compiles it into an attention; 'code', a function of the product that needs no
 * graph; 'reference', the float64 reference alone, which no intervention stands behind; 'nothing' here (texts, decoding rules).
 */
export function computedBy(golden: GoldenCase): 'graph' | 'code' | 'reference' | 'nothing' {
  switch (golden.family) {
    case 'act':
    case 'pine':
    case 'tempscale':
      return 'graph';
    case 'zerotuning':
      // A scaled key needs the logits it gives, which no intervention asks for.
      return golden.content.kind === 'zerotuning' ? 'graph' : 'reference';
    case 'var':
      // The detector of the product is part of its graph (interventions/sink-tokens.ts).
      return golden.content.kind === 'attention' ? 'graph' : 'reference';
    case 'vhr': {
      const { kind } = golden.content;
      if (kind === 'scores') return 'reference';
      // The product leaves the stream without the image as it is.
      return kind === 'layers' && golden.content.params.reinforce_reference ? 'reference' : 'graph';
    }
    case 'imbalanced':
      return golden.content.kind === 'tokens' ? 'code' : 'graph';
    case 'streamingllm':
    case 'recycled_attention':
      return 'reference';
    case 'retrieval_heads':
      return golden.content.kind === 'compensation' ? 'reference' : 'nothing';
    default:
      return 'nothing';
  }
}
