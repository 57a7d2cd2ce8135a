/**
 * Solves PINE's problems with its lowering: a graph of one site that decodes by itself or goes through the Loop, as in a
 * live model. Keys of earlier calls are fed as the lowering would have kept them: at base positions, documents unrotated.
 */

import { AttuneError } from '../../errors.ts';
import { emitter, opsetsFor } from '../../onnx/emitter.ts';
import { DataType } from '../../onnx/index.ts';
import { documents, segmentsOf } from '../edits/documents.ts';
import { BEYOND } from '../lowerings/blocks.ts';
import { lowered } from '../lowerings/lowered.ts';
import {
  afterDocuments,
  amongDocuments,
  documentLayout,
  type SegmentedSite,
  shiftTables,
  type Written,
} from '../lowerings/segments/index.ts';
import type { Problem, Solution } from '../problem.ts';
import { rePosition, rotaryTables } from '../reference/re-position.ts';
import { basePositions, documentSpans } from '../reference/segments.ts';
import { at, build, type Tensor, tensor } from '../reference/tensor.ts';
import { feed, flat, rows } from './feeds.ts';
import type { Feed, Runner } from './runner.ts';
import { runParts, SITE } from './site-graph.ts';

export interface SegmentsOptions {
  readonly opset?: number;
  readonly elemType?: number;
  readonly tapPattern?: boolean | undefined;
  readonly blockBytes?: number | undefined;
}

export async function solveSegments(
  runner: Runner,
  problem: Problem,
  { opset = 21, elemType = DataType.FLOAT, tapPattern, blockBytes }: SegmentsOptions = {},
): Promise<Solution> {
  const { q, k, v } = problem;
  const [documentsEdit, ...others] = problem.edits!;
  if (documentsEdit!.edit.row !== documents || others.length > 0) {
    throw new AttuneError('LOWERING_LACKS_EDIT', { at: SITE, found: `edits beside '${documents.kind}'` });
  }
  const rope = problem.rope!;
  const segments = segmentsOf(documentsEdit!.values.bounds!);
  const [, H, S, D] = q.shape as [number, number, number, number];
  const [, K, T] = v.shape as [number, number, number];
  const past = T - S;
  const { spans, end } = documentSpans(segments);
  const starts = spans.map(([start]) => start);
  // A graph has room for two documents at least; those that are missing are empty.
  const room = Math.max(2, spans.length);
  const bounds = [...starts, ...Array<number>(room + 1 - starts.length).fill(end)];

  const emit = emitter(opset, `${SITE}.layout.`);
  const [tokens, columns] = [emit.dim('q', 1), emit('Add', [emit.dim('past_k', 2), emit.dim('q', 1)])];
  const layout = documentLayout(emit, 'pine', {
    bounds: 'bounds',
    ties: 'ties',
    first: 'first',
    S: tokens,
    T: columns,
  });
  const site: SegmentedSite = {
    name: SITE,
    opset,
    elemType,
    H,
    K,
    D,
    mode: 'pine',
    documents: room,
    q: { value: 'q', layout: 'BS(ND)' },
    k: { value: 'k', layout: 'BS(ND)' },
    v: { value: 'v', layout: 'BS(ND)' },
    past: { k: 'past_k', v: 'past_v' },
    pastDocuments: 'past_documents',
    pastFolded: 'past_folded',
    scale: problem.scale ?? 1 / Math.sqrt(D),
    softcap: problem.softcap,
    headSink: problem.headSink ? 'head_sink' : undefined,
    rotary: {
      cos: 'cos',
      sin: 'sin',
      ...shiftTables(emit, 'cos', 'sin'),
      interleaved: rope.interleaved ?? false,
      dim: 2 * rope.frequencies.length,
    },
    zLayout: 'BS(ND)',
    layout,
    first: 'first',
  };
  const among = amongDocuments(site, { tapPattern, blockBytes });
  const written = tapPattern ? [among] : [afterDocuments(site), among];
  const functions = new Map([...emit.functions, ...written.flatMap((part) => [...part.functions])]);
  if (tapPattern) {
    emit.as('z', 'Identity', [among.results.z]);
  } else {
    const branch = (part: Written) => {
      const graph = emit.graph([], () => [[part.results.z, elemType]]);
      return { ...graph, nodes: [...part.nodes] };
    };
    const [after, other] = written.map(branch);
    const [z] = emit.many(1, 'If', [layout.one], { then_branch: after!, else_branch: other! });
    emit.as('z', 'Identity', [z!]);
  }
  const nodes = tapPattern ? [...emit.nodes.slice(0, -1), ...among.nodes, emit.nodes.at(-1)!] : emit.nodes;
  const taps = tapPattern
    ? [
        {
          name: 'pattern_edited',
          value: among.results.pattern!,
          elemType: DataType.FLOAT,
          shape: ['B', H, 'S', 'T'],
        },
      ]
    : [];
  const part = {
    ...lowered(emit, { taps }),
    nodes,
    functions: [...functions.values()],
    opsets: opsetsFor(opset),
  };

  const turned = rePosition(k, tensor([1, 1, T], basePositions(segments, T).data), rope);
  const { cos, sin } = rotaryTables(rope, T + 1);
  const [from, to] = past === 0 ? [0, 0] : [Math.min(starts[0] ?? T, T - 1), Math.max(end, 1)];
  const feeds: Record<string, Feed> = {
    q: flat(q, 0, S, elemType),
    k: flat(k, past, T, elemType),
    v: flat(v, past, T, elemType),
    past_k: rows(turned, 0, past, elemType),
    past_v: rows(v, 0, past, elemType),
    past_documents: rows(k, from, to, DataType.FLOAT),
    past_folded: feed(folded(turned, spans, room, past > 0)),
    bounds: feed(
      tensor(
        [1, room + 1],
        bounds.map((bound) => Math.min(bound, BEYOND)),
      ),
      DataType.INT64,
    ),
    ties: feed(tensor([1, room], [...Array(room).keys()]), DataType.INT64),
    first: feed(tensor([1], [0]), DataType.INT64),
    cos: feed(cos),
    sin: feed(sin),
  };
  if (problem.headSink) feeds.head_sink = feed(problem.headSink);
  const plan = { edits: [], values: {} };
  return runParts(runner, { problem, plan, parts: [part], feeds, elemType });
}

/** Keys of the documents side by side, [1, K, k, N, D], as the first call of a sequence leaves them. */
function folded(turned: Tensor, spans: readonly [number, number][], k: number, made: boolean): Tensor {
  const [B, K, T, D] = turned.shape as [number, number, number, number];
  const N = made ? Math.max(0, ...spans.map(([start, end]) => end - start)) : 0;
  return build([B, K, k, N, D], (b, h, j, o, d) => {
    return at(turned, b!, h!, Math.min((spans[j!]?.[0] ?? 0) + o!, T - 1), d!);
  });
}
