/** VHR: head choice from two streams, then a factor per head; also through a two-layer toy decoder. */
import { headDivergence, headFactors } from '../../detect/head-divergence.ts';
import { headScale } from '../../edits/head-scale.ts';
import type { AppliedEdit } from '../../problem.ts';
import { sliceRows } from '../../reference/solve.ts';
import { at, block, build, type Tensor } from '../../reference/tensor.ts';
import type { Comparison, Solve } from '../check.ts';
import type { GoldenCase } from '../read.ts';

type Content = Extract<GoldenCase, { family: 'vhr' }>['content'];
type Kind<K extends Content['kind']> = Extract<Content, { kind: K }>;

export function checkVhr(content: Content, solve: Solve): Promise<Comparison[]> {
  switch (content.kind) {
    case 'scores':
      return checkScores(content);
    case 'prefill':
      return checkPrefill(content, solve);
    case 'decode':
      return checkDecode(content, solve);
    case 'layers':
      return checkLayers(content, solve);
  }
}

async function checkScores({ params, inputs, expected }: Kind<'scores'>): Promise<Comparison[]> {
  const { with_image: w, without_image: wo } = inputs;
  const d = headDivergence(w, wo, { prune: params.prune_outliers, ddof: params.std_ddof });
  const factor = headFactors(d.selected, params.alpha);
  const heads = build(w.shape, (b, h, e) => at(factor, b!, h!) * at(w, b!, h!, e!));
  return [
    { name: 'vhd', actual: d.vhd, expected: expected.vhd },
    { name: 'ta', actual: d.ta, expected: expected.ta },
    { name: 'outlier', actual: d.outlier, expected: expected.outlier },
    { name: 'vhd_pruned', actual: d.pruned, expected: expected.vhd_pruned },
    { name: 'median', actual: d.median, expected: expected.median },
    { name: 'selected', actual: d.selected, expected: expected.selected },
    { name: 'heads', actual: heads, expected: expected.heads },
  ];
}

async function checkPrefill({ params, inputs, expected }: Kind<'prefill'>, solve: Solve) {
  const { q, k, v } = inputs;
  const [start, end] = params.visual_span[0]!;
  const { scale } = params;
  const full = await solve({ q, k, v, scale });
  const without = (x: Tensor) => dropRows(x, start, end);
  const reference = await solve({
    q: without(q),
    k: without(k),
    v: without(v),
    scale,
  });
  const last = lastRow(reference.output);
  const d = headDivergence(lastRow(full.output), last, {
    prune: params.prune_outliers,
    ddof: params.std_ddof,
  });
  const edits = scaled(headFactors(d.selected, params.alpha));
  const solution = await solve({ q, k, v, scale, edits });
  return [
    { name: 'base_output', actual: full.output, expected: expected.out_base },
    { name: 'ref_last', actual: last, expected: expected.ref_last },
    { name: 'vhd', actual: d.vhd, expected: expected.vhd },
    { name: 'selected', actual: d.selected, expected: expected.selected },
    { name: 'output', actual: solution.output, expected: expected.out },
  ];
}

async function checkDecode({ params, inputs, expected }: Kind<'decode'>, solve: Solve) {
  const problem = {
    q: inputs.q,
    k: joinRows(inputs.past_k, inputs.k_new),
    v: joinRows(inputs.past_v, inputs.v_new),
    scale: params.scale,
  };
  const edits = scaled(headFactors(inputs.selected, params.alpha));
  const solution = await solve({ ...problem, edits });
  const base = await solve(problem);
  return [
    { name: 'base_output', actual: base.output, expected: expected.out_base },
    { name: 'output', actual: solution.output, expected: expected.out },
  ];
}

/** Layers of RMSNorm, attention, residual: heads of a layer are chosen on streams earlier layers already changed. */
async function checkLayers({ params, shapes, inputs, expected }: Kind<'layers'>, solve: Solve) {
  const { H, Hkv: K, d: D, L } = shapes;
  const [start, end] = params.visual_span[0]!;
  const heads = (x: Tensor, w: Tensor, layer: number, N: number) => {
    const y = project(normalise(x, params.rms_eps), w, layer);
    const [B, S] = y.shape as [number, number, number];
    return build([B, N, S, D], (b, n, s, e) => at(y, b!, s!, n! * D + e!));
  };
  const qkv = (x: Tensor, layer: number) => ({
    q: heads(x, inputs.w_q, layer, H),
    k: heads(x, inputs.w_k, layer, K),
    v: heads(x, inputs.w_v, layer, K),
  });
  const add = (x: Tensor, output: Tensor, layer: number) => {
    const [B, , S] = output.shape as [number, number, number];
    const flat = build([B, S, H * D], (b, s, i) => at(output, b!, Math.floor(i! / D), s!, i! % D));
    const projected = project(flat, inputs.w_o, layer);
    return build(x.shape, (b, s, i) => at(x, b!, s!, i!) + at(projected, b!, s!, i!));
  };

  let base = inputs.x;
  let full = inputs.x;
  let reference = dropTokens(inputs.x, start, end);
  let decode = inputs.decode_x;
  const selected: Tensor[] = [];
  const vhd: Tensor[] = [];
  for (let l = 0; l < L; l++) {
    base = add(base, (await solve(qkv(base, l))).output, l);
    const [mine, theirs] = [qkv(full, l), qkv(reference, l)];
    const plain = await solve(mine);
    const withoutImage = await solve(theirs);
    const d = headDivergence(lastRow(plain.output), lastRow(withoutImage.output), {
      prune: params.prune_outliers,
      ddof: params.std_ddof,
    });
    const chosen = params.layers.includes(l);
    const edits = chosen ? scaled(headFactors(d.selected, params.alpha)) : [];
    const next = qkv(decode, l);
    const step = { q: next.q, k: joinRows(mine.k, next.k), v: joinRows(mine.v, next.v), edits };
    decode = add(decode, (await solve(step)).output, l);
    full = add(full, (await solve({ ...mine, edits })).output, l);
    reference = add(
      reference,
      (await solve({ ...theirs, edits: params.reinforce_reference ? edits : [] })).output,
      l,
    );
    selected.push(d.selected);
    vhd.push(d.vhd);
  }
  const stack = (parts: Tensor[]) => build([L, ...parts[0]!.shape], (l, ...i) => at(parts[l!]!, ...i));
  return [
    { name: 'hidden_base', actual: base, expected: expected.hidden_base },
    { name: 'vhd', actual: stack(vhd), expected: expected.vhd },
    { name: 'selected', actual: stack(selected), expected: expected.selected },
    { name: 'hidden', actual: full, expected: expected.hidden },
    { name: 'decode_hidden', actual: decode, expected: expected.decode_hidden },
  ];
}

function scaled(head_scale: Tensor): AppliedEdit[] {
  return [{ edit: headScale.with(), values: { head_scale } }];
}

function lastRow(output: Tensor): Tensor {
  const [B, H, S, E] = output.shape as [number, number, number, number];
  return build([B, H, E], (b, h, e) => at(output, b!, h!, S - 1, e!));
}

function dropRows(x: Tensor, start: number, end: number): Tensor {
  return joinRows(sliceRows(x, 0, start), sliceRows(x, end, x.shape[2]!));
}

function joinRows(a: Tensor, b: Tensor): Tensor {
  const [B, N, A, D] = a.shape as [number, number, number, number];
  const rows = A + b.shape[2]!;
  return build([B, N, rows, D], (i, n, s, d) => (s! < A ? at(a, i!, n!, s!, d!) : at(b, i!, n!, s! - A, d!)));
}

function dropTokens(x: Tensor, start: number, end: number): Tensor {
  const [B, S, D] = x.shape as [number, number, number];
  return build([B, S - (end - start), D], (b, s, d) => at(x, b!, s! < start ? s! : s! + end - start, d!));
}

function normalise(x: Tensor, epsilon: number): Tensor {
  const D = x.shape[2]!;
  return build(x.shape, (b, s, d) => {
    const row = block(x, b!, s!);
    return row[d!]! / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / D + epsilon);
  });
}

/** x (B, S, I) times w[layer] (I, O). */
function project(x: Tensor, w: Tensor, layer: number): Tensor {
  const [B, S, I] = x.shape as [number, number, number];
  return build([B, S, w.shape[2]!], (b, s, o) => {
    let sum = 0;
    for (let i = 0; i < I; i++) sum += at(x, b!, s!, i) * at(w, layer, i, o!);
    return sum;
  });
}
