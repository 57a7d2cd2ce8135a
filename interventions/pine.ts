/**
 * PINE, position-invariant inference (Wang et al., arXiv 2407.01100): interchangeable documents see each other in both
 * directions, and every query of every head places them by its own, position-free opinion of them, the most important one
 * nearest. Nothing depends on the order they are given in.
 *
 *   prompt      prefix / D_0 … D_{k-1} / suffix, then what is generated
 *   importance  softmax of q·k/√d without positions over the keys of all documents (for a query inside a document: of all
 *               others), averaged over each document's keys; queries of one document share theirs
 *   positions   documents stand one after another in ascending importance, a query's own document last
 *
 * Baselines of the paper: 'nia', documents do not see each other; 'pcw', and all start at one position; 'sp', and N
 * documents weigh 1/N for what follows them.
 */
import { z } from 'zod';
import { AttuneError } from '../errors.ts';
import type { Knob, KnobValue } from '../hooks/compile/index.ts';
import type { ModelFacts } from '../hooks/model/index.ts';
import type { Feeds } from '../hooks/session/index.ts';
import { BEYOND } from '../kernels/lowerings/blocks.ts';
import { MODES, type Mode } from '../kernels/lowerings/segments/index.ts';
import { DataType } from '../onnx/index.ts';
import type { Site } from '../sites/site.ts';
import { defineIntervention, type Filled, type InterventionFactory } from './define.ts';
import {
  checkInside,
  checkSpans,
  contentOrder,
  DOCUMENTS,
  type DocumentSpan,
  type Documents,
  documentsSchema,
  findDocuments,
  type GivenDocuments,
  givenSpans,
  mostDocuments,
} from './documents.ts';

const BOUNDS = 'attune.pine.bounds';
const TIES = 'attune.pine.ties';

/** A graph has room for this many documents. More room is more nodes, few sizes mean few sessions. */
const ROOM = [3, 6, 10, 16, 24, 32, 48, 64, 96, 128];
const USUAL = 10;

/** Parameters of pine. */
export interface PineParameters {
  /**
   * [start, end) of each document, from the first real token; or a list of them for each row; or { begin,
   * end, most }: the tokens that begin a document and those after the last.
   */
  documents?: GivenDocuments | undefined;
  /**
   * pine; nia: no attention between documents; pcw: and the same positions for all; sp: and 1/N of the
   * weight. Default 'pine'.
   */
  mode?: Mode | undefined;
}

/**
 * PINE, position-invariant inference: the answer to a prompt with interchangeable documents no longer depends on their order.
 *
 *     prompt      prefix / D_0 … D_{k−1} / suffix, then what is generated
 *     visible     documents see each other both ways and themselves causally, all else is causal
 *     importance  softmax of q·k/√D without positions over the keys of all documents, averaged over each document's keys
 *     positions   per query head: documents one after another, the most important nearest, a token's own document last
 *
 * Acts in every layer and head, on queries and keys [B, S, H, D] before attention, in the prompt and in every decoded row. The keys that a
 * cache holds are others than without it. One document is plain attention, bit for bit.
 * Source: Wang et al., arXiv 2407.01100; code wzq016/PINE.
 *
 * @example
 * ```ts
 * const { documents, ...prompt } = segmentPrompt(tokenizer, { prefix: '', documents: passages, suffix: question });
 * const output = await model.generate({ ...prompt, max_new_tokens: 8, interventions: [pine({ documents })] });
 * console.log(tokenizer.batch_decode(output, { skip_special_tokens: true }));
 * ```
 * @throws AttuneError SPEC_INVALID; when a model uses it, INTERVENTION_REFUSED, INTERVENTION_CONFLICT; when it runs, DOCUMENT_SPANS,
 *   DOCUMENT_MARKERS, ROWS_MISMATCH, STATE_MISMATCH for a cache of other documents
 */
export const pine: InterventionFactory<PineParameters, Filled<PineParameters, 'mode'>> = defineIntervention({
  name: 'pine',
  stage: 'positions',
  needs: ['self-attention', 'document-spans'],
  reference: 'arXiv 2407.01100; code wzq016/PINE',
  conflicts: {
    act: 'ACT finds sinks in a map over one order of keys; with PINE every query has its own.',
    var: 'VAR changes probabilities over one order of keys; with PINE every query has its own.',
    'imbalanced-attention': 'It raises logits inside an attention that PINE replaces.',
    pai: 'It raises logits inside an attention that PINE replaces.',
    vhr: 'It runs a prompt without its image as well, in which documents lie elsewhere.',
    vcd: 'It runs a prompt without its image as well, in which documents lie elsewhere.',
  },
  schema: z.strictObject({
    documents: documentsSchema
      .optional()
      .describe(DOCUMENTS)
      .superRefine((documents) => {
        givenSpans(documents ?? [[[1, 2]]])?.forEach((row, i, rows) => {
          checkSpans(row, rows.length > 1 ? i : undefined);
        });
      }),
    mode: z
      .enum(MODES)
      .default('pine')
      .describe(
        'pine; nia: no attention between documents; pcw: and the same positions for all; sp: and 1/N of the weight',
      ),
  }),
  variant: (spec): Variant => ({
    mode: spec?.mode ?? 'pine',
    documents: spec?.documents ? roomFor(spec.documents) : USUAL,
  }),
  plan: (model, { mode, documents }) => {
    refuseForm(model);
    return {
      knobs: [knob(BOUNDS, unlaid(documents)), knob(TIES, ranks(documents))],
      edits: model.decoder.map((site) => {
        return { kind: 'segments', site, mode, documents, bounds: BOUNDS, ties: TIES } as const;
      }),
    };
  },
  knobs: () => ({}),
  feed: ({ documents }, _model, request, feeds): Readonly<Record<string, KnobValue>> => {
    if (request.past > 0) return {}; // kept beside the cache
    if (!documents) {
      throw new AttuneError('DOCUMENT_SPANS', {
        at: 'pine',
        found: 'no documents',
        expected: 'documents: [[start, end), …], of the prompt that is run',
        hint: 'Evaluation of a task with documents fills them in; else give them with each prompt.',
      });
    }
    const rows = rowsOf(feeds, request.promptIds);
    const layouts = rows.map((row, i) => layoutOfRow(documents, row, i, rows.length));
    const room = roomFor(documents);
    return {
      [BOUNDS]: table(layouts.map((spans) => boundsOf(spans, room))),
      [TIES]: table(layouts.map((spans, i) => tiesOf(spans, rows[i]!.ids, room))),
    };
  },
});

/** `documents`: how many the graph has room for. */
type Variant = { readonly mode: Mode; readonly documents: number };

function roomFor(documents: Documents): number {
  const most = mostDocuments(documents);
  return ROOM.find((room) => room >= most) ?? most;
}

interface Row {
  /** Tokens, padding included, and where they begin. */
  readonly length: number;
  readonly first: number;
  /** Without padding; undefined where only embeddings are known. */
  readonly ids: readonly number[] | undefined;
}

function rowsOf(
  { input_ids, inputs_embeds, attention_mask }: Feeds,
  prompt: readonly (readonly number[])[] | undefined,
): Row[] {
  const [B = 1, S = 0] = (input_ids ?? inputs_embeds)!.dims;
  const mask = attention_mask?.data as ArrayLike<number | bigint> | undefined;
  return Array.from({ length: B }, (_, b) => {
    let first = 0;
    while (mask && first < S - 1 && Number(mask[b * S + first]) === 0) first++;
    return { length: S - first, first, ids: prompt?.[b]?.slice(first) };
  });
}

/** @throws AttuneError DOCUMENT_SPANS, DOCUMENT_MARKERS, ROWS_MISMATCH */
function layoutOfRow(
  documents: Documents,
  { ids, length }: Row,
  row: number,
  B: number,
): readonly DocumentSpan[] {
  const given = givenSpans(documents);
  if (given && given.length > 1 && given.length !== B) {
    throw new AttuneError('ROWS_MISMATCH', {
      found: `a batch of ${B} rows`,
      expected: `${given.length}, one for each list of documents`,
    });
  }
  if (!given && !ids) {
    throw new AttuneError('DOCUMENT_MARKERS', {
      at: `row ${row}`,
      found: 'no token ids, only embeddings',
      expected: 'a prompt whose tokens are known',
      hint: 'Give the documents as spans.',
    });
  }
  const spans = given
    ? given[given.length > 1 ? row : 0]!
    : findDocuments(ids!, documents as Exclude<Documents, readonly unknown[]>, row);
  checkSpans(spans, row);
  checkInside(spans, length, row);
  return spans;
}

/** Starts, and the end of the last; documents that are missing are empty and come last. */
function boundsOf(spans: readonly DocumentSpan[], room: number): number[] {
  const end = spans.at(-1)![1];
  return Array.from({ length: room + 1 }, (_, i) => spans[i]?.[0] ?? end);
}

function tiesOf(spans: readonly DocumentSpan[], ids: readonly number[] | undefined, room: number): number[] {
  const places = ids ? contentOrder(spans.map(([start, end]) => ids.slice(start, end))) : [...spans.keys()];
  return Array.from({ length: room }, (_, i) => places[i] ?? i);
}

/** int64, a row for each row of a batch or one for all. */
function knob(name: string, row: readonly number[]): Knob {
  const neutral = table([row]);
  return { name, elemType: DataType.INT64, shape: [`${name}:rows`, row.length], neutral, kept: true };
}

function unlaid(documents: number): number[] {
  return new Array<number>(documents + 1).fill(BEYOND);
}

function ranks(documents: number): number[] {
  return [...Array(documents).keys()];
}

function table(rows: readonly (readonly number[])[]): KnobValue {
  return { dims: [rows.length, rows[0]!.length], data: BigInt64Array.from(rows.flat(), BigInt) };
}

/** @throws AttuneError INTERVENTION_REFUSED with the layer and the reason */
function refuseForm({ decoder }: ModelFacts): void {
  for (const site of decoder) {
    const reason = whyNot(site);
    if (reason === undefined) continue;
    throw new AttuneError('INTERVENTION_REFUSED', {
      at: 'pine',
      found: `layer ${site.layer}, ${reason}`,
      expected: 'causal self-attention with rotary positions over the whole sequence, in every layer',
      hint: 'Without all layers there is no invariance. `attune inspect` shows the form of each.',
    });
  }
}

function whyNot(site: Site): string | undefined {
  if (site.causal !== true) return `whose attention is not causal: ${site.causalBy}`;
  if (!site.rotary) return 'which has no rotary positions to choose';
  if (site.window !== undefined)
    return `which sees a window of ${site.window} tokens: PINE is not defined for it`;
  if (site.scope.length > 0) return 'in a branch of an If, which the keys of documents cannot leave';
  if (site.projectsInside) return 'whose projections are inside com.microsoft.Attention';
  if (site.scale === undefined) return 'whose scale is a value given at run time';
  if (site.biasInside !== undefined) return 'whose operator adds the bias of its projections itself';
  const inside =
    site.operator === 'com.microsoft.GroupQueryAttention'
      ? site.masks.find(({ kind }) => kind === 'additive')
      : undefined;
  return inside && `which adds ${inside.value} to its logits`;
}
