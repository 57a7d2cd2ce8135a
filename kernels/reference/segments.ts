/**
 * Position-invariant attention over interchangeable documents (PINE, Wang et al., arXiv 2407.01100), batch of one.
 *
 * Tokens: prefix / documents D_0..D_{k-1} / suffix and generated. Every key keeps one base position: its index outside
 * the documents, end - n_j + o at offset o of D_j (each document at the end of the document block, `end`). Ranking the
 * documents for a query moves D_j back by shift_j, the length of the documents ranked before it, and instead of
 * rotating the keys anew the *query* is rotated once per document:
 *
 *   R(q, m)·R(k, base_k - shift_j) = R(q, m + shift_j)·R(k, base_k)
 */
import { type Rope, rePosition } from './re-position.ts';
import { at, block, build, dot, type Tensor, tensor } from './tensor.ts';

export interface Segments {
  /** Tokens before the documents, at least one. */
  readonly prefix: number;
  readonly documents: readonly number[];
}

/** [start, end) of each document, and the end of the last. */
export function documentSpans({ prefix, documents }: Segments): { spans: [number, number][]; end: number } {
  let end = prefix;
  const spans = documents.map((length): [number, number] => {
    end += length;
    return [end - length, end];
  });
  return { spans, end };
}

/** Segment of each of T tokens: 0..k-1 the document, -1 outside. (T) */
export function documentOf(segments: Segments, T: number): Tensor {
  const { spans } = documentSpans(segments);
  return build([T], (t) => spans.findIndex(([start, end]) => t! >= start && t! < end));
}

/** Base position of each of T tokens: (T). */
export function basePositions(segments: Segments, T: number): Tensor {
  const { spans, end } = documentSpans(segments);
  return build([T], (t) => {
    const span = spans.find(([start, stop]) => t! >= start && t! < stop);
    return span ? end - span[1] + t! : t!;
  });
}

/**
 * Importance without positions of every document for every query row: softmax of q·k/√D over the keys of all documents
 * (for a document's own queries: of all *other* documents), averaged over each document's keys, and for document
 * queries summed over the document's rows.
 *
 * @param q (1, H, S, D), k (1, K, T, D), both unrotated
 * @returns suffix (H, n, k), one row per query after the documents; docs (H, k, k) with NaN on the diagonal, absent
 *   when the documents are not among the queries
 */
export function importance(q: Tensor, k: Tensor, segments: Segments): { suffix: Tensor; docs?: Tensor } {
  const [, H, S, D] = q.shape as [number, number, number, number];
  const [, K, T] = k.shape as [number, number, number];
  const { spans, end } = documentSpans(segments);
  const past = T - S;
  const weights = (h: number, row: number, over: readonly number[]) => {
    const kv = Math.floor(h / (H / K));
    const logits = over.map((j) =>
      Array.from({ length: spans[j]![1] - spans[j]![0] }, (_, o) => {
        return dot(block(q, 0, h, row - past), block(k, 0, kv, spans[j]![0] + o)) / Math.sqrt(D);
      }),
    );
    const max = Math.max(...logits.flat());
    const masses = logits.map((own) => own.reduce((sum, l) => sum + Math.exp(l - max), 0));
    const total = masses.reduce((sum, m) => sum + m, 0);
    return new Map(over.map((j, i) => [j, masses[i]! / total / logits[i]!.length]));
  };
  const all = spans.map((_, j) => j);
  const first = Math.max(past, end);
  const rows = Array.from({ length: H }, (_, h) =>
    Array.from({ length: T - first }, (_, m) => weights(h, first + m, all)),
  );
  const suffix = build([H, T - first, spans.length], (h, m, j) => rows[h!]![m!]!.get(j!)!);
  if (past > 0) return { suffix };
  const docs = build([H, spans.length, spans.length], (h, i, j) => {
    if (i === j) return Number.NaN;
    let sum = 0;
    for (let row = spans[i!]![0]; row < spans[i!]![1]; row++) {
      sum += weights(
        h!,
        row,
        all.filter((x) => x !== i),
      ).get(j!)!;
    }
    return sum;
  });
  return { suffix, docs };
}

/** Documents from nearest (most important) to farthest; ties keep the given order, `own` always comes first. */
export function rankDocuments(row: Float64Array, own?: number): number[] {
  return [...row.keys()].sort((a, b) => Number(b === own) - Number(a === own) || row[b]! - row[a]! || a - b);
}

/** shift_j = total length of the documents ranked before j. */
export function shiftsOf(order: readonly number[], documents: readonly number[]): number[] {
  const shifts = documents.map(() => 0);
  let before = 0;
  for (const j of order) {
    shifts[j] = before;
    before += documents[j]!;
  }
  return shifts;
}

/** What each query row does with the documents: its own position and one shift per document. */
export interface QueryLayout {
  /** (S) base positions of the query rows. */
  readonly positions: Tensor;
  /** (H, S, k) shifts; zero for prefix rows, which see no document. */
  readonly shifts: Tensor;
  /** (S, T) of 0 and 1: documents see each other fully, themselves causally, never the suffix. */
  readonly visible: Tensor;
  readonly orderDocs?: readonly number[][][] | undefined;
  readonly orderSuffix: readonly number[][][];
}

export function layoutQueries(q: Tensor, k: Tensor, segments: Segments): QueryLayout {
  const [, H, S] = q.shape as [number, number, number];
  const T = k.shape[2]!;
  const past = T - S;
  const { spans, end } = documentSpans(segments);
  const { suffix, docs } = importance(q, k, segments);
  const heads = [...Array(H).keys()];
  const orderSuffix = heads.map((h) =>
    Array.from({ length: suffix.shape[1]! }, (_, m) => rankDocuments(block(suffix, h, m))),
  );
  const orderDocs = docs && heads.map((h) => spans.map((_, i) => rankDocuments(block(docs, h, i), i)));
  const base = basePositions(segments, T);
  const member = documentOf(segments, T);
  const orderAt = (h: number, row: number) => {
    if (row >= end) return orderSuffix[h]![row - Math.max(past, end)]!;
    return member.data[row]! >= 0 ? orderDocs?.[h]?.[member.data[row]!] : undefined;
  };
  const shifts = build([H, S, spans.length], (h, s, j) => {
    const order = orderAt(h!, past + s!);
    return order ? shiftsOf(order, segments.documents)[j!]! : 0;
  });
  const visible = build([S, T], (s, t) => {
    const row = past + s!;
    const [mine, theirs] = [member.data[row]!, member.data[t!]!];
    return Number(mine >= 0 && theirs >= 0 && mine !== theirs ? true : t! <= row);
  });
  const positions = build([S], (s) => base.data[past + s!]!);
  return { positions, shifts, visible, orderDocs, orderSuffix };
}

/** Position of key t as seen by row s of head h, -1 where hidden: (1, H, S, T). */
export function keyPositions(layout: QueryLayout, segments: Segments, T: number): Tensor {
  const [H, S] = layout.shifts.shape as [number, number];
  const base = basePositions(segments, T);
  const member = documentOf(segments, T);
  return build([1, H, S, T], (_, h, s, t) => {
    if (!at(layout.visible, s!, t!)) return -1;
    const j = member.data[t!]!;
    return base.data[t!]! - (j >= 0 ? at(layout.shifts, h!, s!, j) : 0);
  });
}

/**
 * PINE's attention with rotated queries: keys stay at their base positions, the query meets D_j rotated by shift_j
 * more. (1, H, S, T) scores and the visibility to give to softmax.
 */
export function segmentScores(
  q: Tensor,
  k: Tensor,
  segments: Segments,
  rope: Rope,
  scale = 1 / Math.sqrt(q.shape[3]!),
): { scores: Tensor; visible: Tensor; layout: QueryLayout } {
  const [, H, S] = q.shape as [number, number, number];
  const [, K, T] = k.shape as [number, number, number];
  const layout = layoutQueries(q, k, segments);
  const member = documentOf(segments, T);
  const keys = rePosition(k, tensor([1, 1, T], basePositions(segments, T).data), rope);
  const queries = [-1, ...segments.documents.keys()].map((j) => {
    const positions = build([1, H, S], (_, h, s) => {
      return at(layout.positions, s!) + (j < 0 ? 0 : at(layout.shifts, h!, s!, j));
    });
    return rePosition(q, positions, rope);
  });
  const scores = build([1, H, S, T], (_, h, s, t) => {
    const query = block(queries[member.data[t!]! + 1]!, 0, h!, s!);
    return scale * dot(query, block(keys, 0, Math.floor(h! / (H / K)), t!));
  });
  return { scores, visible: tensor([1, S, T], layout.visible.data), layout };
}
