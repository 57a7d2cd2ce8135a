/**
 * The pattern of a call's last rows alone: what is computed beside a fused operator is computed for these and no others, so that
 * reading one row of a long prompt costs one row.
 */
import type { Emit } from '../../onnx/emitter.ts';
import { DataType } from '../../onnx/index.ts';
import type { Site } from '../../sites/site.ts';
import { fusedInputs, fusedPattern, fusedScores } from './fused-scores.ts';
import { toBHST } from './layout.ts';

/**
 * @param site as edits left it @param pattern its pattern, where that is a value of the graph
 * @param rows int64 [1]; more than there are: all
 * @returns float32 [B, H, rows, T]
 */
export function lastRows(e: Emit, site: Site, pattern: string | undefined, rows: string): string {
  const last = (value: string, axis: number) =>
    e.slice(value, axis, e('Neg', [rows]), e.ints(Number.MAX_SAFE_INTEGER));
  if (!site.fused) {
    const bhst = toBHST(e, { ...site.pattern!, value: pattern! }, site.numHeads);
    return e.cast(last(bhst, 2), DataType.FLOAT);
  }
  const inputs = fusedInputs(e, site);
  // Masks end in [rows | 1, T]: of one row the last one is all.
  const scores = fusedScores(e, site, {
    ...inputs,
    q: last(inputs.q, 1),
    bias: inputs.bias === undefined ? undefined : last(inputs.bias, -2),
    visible: inputs.visible.map((mask) => last(mask, -2)),
  });
  return fusedPattern(e, scores, inputs.headSink);
}
