/** Imbalanced attention: token choice from the vision encoder, and the gain on the last row's logits. */
import { imageTokens } from '../../detect/image-tokens.ts';
import { logitGain } from '../../edits/logit-gain.ts';
import { at, build, type Tensor, tensor } from '../../reference/tensor.ts';
import type { Comparison, Solve } from '../check.ts';
import type { GoldenCase } from '../read.ts';

type Content = Extract<GoldenCase, { family: 'imbalanced' }>['content'];

export async function checkImbalanced(content: Content, solve: Solve): Promise<Comparison[]> {
  if (content.kind === 'tokens') {
    const { params, inputs, expected } = content;
    const found = imageTokens(inputs.cls_attn_first, inputs.cls_attn_penultimate, {
      localRatio: params.local_ratio,
    });
    const list = (values: readonly number[]) => tensor([values.length], values);
    return [
      { name: 'score_first', actual: list(found.first), expected: expected.score_first },
      { name: 'score_penultimate', actual: list(found.penultimate), expected: expected.score_penultimate },
      { name: 'quartiles', actual: list([found.q1, found.q3]), expected: list([expected.q1, expected.q3]) },
      { name: 'local', actual: list(found.local), expected: list(expected.local) },
      { name: 'summary', actual: list(found.summary), expected: list(expected.summary) },
    ];
  }
  const { params, inputs, expected } = content;
  const { q, k, v } = inputs;
  const [B, H, S] = q.shape as [number, number, number];
  const T = k.shape[2]!;
  const gainOf = (b: number, t: number) => {
    const offset = t - params.visual_span[b]![0];
    if (params.summary.includes(offset)) return params.beta;
    return params.local.includes(offset) ? params.alpha : 0;
  };
  const gain = build([B, H, T], (b, h, t) => (params.head_gain?.[h!] ?? 1) * gainOf(b!, t!));
  const solution = await solve({
    q,
    k,
    v,
    scale: params.scale,
    mask: { keys: inputs.key_mask },
    edits: [{ edit: logitGain.with({ rows: 'last' }), values: { b: gain } }],
  });
  const last = (t: Tensor | undefined) => t && build([B, H, T], (b, h, j) => at(t, b!, h!, S - 1, j!));
  return [
    { name: 'output', actual: solution.output, expected: expected.out },
    { name: 'base_output', actual: solution.baseOutput, expected: expected.out_base },
    { name: 'probs_last', actual: last(solution.probs), expected: expected.probs_last },
    { name: 'probs_last_base', actual: last(solution.baseProbs), expected: expected.probs_last_base },
  ];
}
