/**
 * The expanded lowering: attention as MatMul, Softmax, MatMul in blocks of rows, with every edit of logits and
 * probabilities in between, as one model-local function per combination of edits. Runs on every execution provider;
 * memory is linear in T; key/value heads are never repeated.
 *
 * What it replaces is described by ExpandedSite; group-query-attention.ts makes one from a fused operator.
 */

import { AttuneError } from '../../errors.ts';
import { DOMAIN, type Emit, emitter, type Primitive, primitive, toFloat } from '../../onnx/emitter.ts';
import { DataType, makeNode } from '../../onnx/index.ts';
import type { Edit } from '../edits/edit.ts';
import {
  BEYOND,
  BLOCK_BYTES,
  type Block,
  type Blocks,
  countBlocks,
  type Extent,
  MOST_ROWS,
  mapAndSumBlocks,
  mapBlocks,
  wholeBlock,
} from './blocks.ts';
import { composeSteps } from './compose.ts';
import { checkEdits, inOrder, knobsOf, statesOf } from './edits.ts';
import * as heads from './functions/heads.ts';
import { type HeadValue, type Lowered, lowered } from './lowered.ts';

export type { HeadLayout, HeadValue } from './lowered.ts';

/** One attention site, by its values. K of k and v for N, T for S where a value spans the cache. */
export interface ExpandedSite {
  /** Unique in the model; prefix of everything emitted. */
  readonly name: string;
  /** The model's ai.onnx operator set, 13 or later. */
  readonly opset: number;
  /** DataType of q, k, v and z. Scores and probabilities are float32 in any case. */
  readonly elemType: number;
  /** Query heads. */
  readonly H: number;
  /** Key and value heads. */
  readonly K: number;
  /** Size of a head. */
  readonly D: number;
  /** Already rotated. k and v of this call when `past` is given, else of all T positions. */
  readonly q: HeadValue;
  /** Keys. */
  readonly k: HeadValue;
  /** Values. */
  readonly v: HeadValue;
  /** Values [B, K, P, D] of earlier calls; `present` names the values that shall hold the joined cache. */
  readonly past?: { readonly k: string; readonly v: string } | undefined;
  /** Names of the joined cache. */
  readonly present?: { readonly k: string; readonly v: string } | undefined;
  /** Default 1/√D. */
  readonly scale?: number | undefined;
  /** c, where logits are capped: c tanh(logit / c). */
  readonly softcap?: number | undefined;
  /** Rows see only what stands before them. */
  readonly causal: boolean;
  /** Keys seen to the left, the row's own included. */
  readonly window?: number | undefined;
  /** Value [H]: a learned logit in each head's denominator. */
  readonly headSink?: string | undefined;
  /** Value [B, T] with 0 at padding, any integer, boolean or float type: an attention_mask. */
  readonly keys?: string | undefined;
  /** Value [B|1, H|1, S, T], float, added to the logits. */
  readonly bias?: string | undefined;
  /** Name of the value to produce. */
  readonly z: HeadValue;
}

/** What is done inside an attention that is written out. */
export interface ExpandedOptions {
  /** In the order in which they act. */
  readonly edits: readonly Edit[];
  /** Also give the probabilities before and after the edits, [B, H, S, T]. Costs the memory the blocks save. */
  readonly tapPattern?: boolean | undefined;
  /** Bytes of scores a block of rows may take. Default BLOCK_BYTES. */
  readonly blockBytes?: number | undefined;
  /** Calls of one row after others go another way: no branch is made for them. */
  readonly rowElsewhere?: boolean | undefined;
}

/**
 * Attention at `site` with `edits`. Taps: `pattern` and `pattern_edited` with tapPattern, and what edits find [B, H, T].
 *
 * @throws AttuneError EDIT_TWICE, LOWERING_LACKS_EDIT, OPSET_TOO_OLD
 */
export function expandedAttention(
  site: ExpandedSite,
  { edits: given, tapPattern = false, blockBytes = BLOCK_BYTES, rowElsewhere = false }: ExpandedOptions,
): Lowered {
  checkEdits(site, given);
  const edits = inOrder(given);
  const other = edits.find(({ row }) => row.stage === 'documents');
  if (other) {
    throw new AttuneError('LOWERING_LACKS_EDIT', {
      at: site.name,
      found: `edit '${other.row.kind}'`,
      expected: 'an edit of logits, probabilities or outputs',
    });
  }
  const emit = emitter(site.opset, `${site.name}.`);
  const knobs = edits.flatMap((edit) => knobsOf(edit, site.name, site.H));
  const states = edits.flatMap((edit) => statesOf(edit, site.name, site.H));
  const found = edits.flatMap(({ row, options }) => row.finds?.(options) ?? []);

  const q = toFloat(emit, bnsd(emit, site.q, site.H), site.elemType);
  const [k, v] = (['k', 'v'] as const).map((which) => {
    const now = bnsd(emit, site[which], site.K);
    const past = site.past?.[which];
    const present = site.present?.[which];
    if (past && present) return emit.as(present, 'Concat', [past, now], { axis: 2 });
    if (past) return emit('Concat', [past, now], { axis: 2 });
    return present ? emit.as(present, 'Identity', [now]) : now;
  }) as [string, string];
  const inputs: [string, string][] = [
    ['q', q],
    ['k', toFloat(emit, k, site.elemType)],
    ['v', toFloat(emit, v, site.elemType)],
    ['scale', emit.float(site.scale ?? 1 / Math.sqrt(site.D))],
    ['groups', emit.ints(0, site.K, -1, 0)],
    ['heads', emit.ints(0, site.H, -1, 0)],
    ['budget', emit.ints(Math.floor(blockBytes / 4))],
  ];
  if (site.softcap) inputs.push(['softcap', emit.float(site.softcap)]);
  if (site.window) inputs.push(['window', emit.ints(site.window)]);
  if (site.headSink) inputs.push(['head_sink', site.headSink]);
  if (site.keys) inputs.push(['real', emit('Cast', [site.keys], { to: DataType.FLOAT })]);
  if (site.bias) inputs.push(['bias', toFloat(emit, site.bias, site.elemType)]);
  for (const { name } of knobs) inputs.push([localName(name, site.name), name]);
  for (const { input } of states) inputs.push([localName(input, site.name), input]);

  // Whichever of these steps is last makes the site's own value.
  const [merges, casts] = [site.z.layout !== 'BNSD', site.elemType !== DataType.FLOAT];
  const split = merges || casts ? `${site.name}.z` : site.z.value;
  const outputs: [string, string][] = [['z', split]];
  for (const { output } of states) outputs.push([localName(output, site.name), output]);
  for (const name of found) outputs.push([`found_${name}`, `${site.name}.${name}`]);
  if (tapPattern) {
    outputs.push(['pattern', `${site.name}.pattern`], ['pattern_edited', `${site.name}.pattern_edited`]);
  }

  const { definition, nested } = attentionFunction(site, edits, inputs, outputs, {
    tapPattern,
    rowElsewhere,
  })(site.opset);
  const functions = new Map([...emit.functions, ...nested, [definition.name, definition]]);
  const call = makeNode(
    `${DOMAIN}.${definition.name}`,
    inputs.map(([, value]) => value),
    outputs.map(([, value]) => value),
    { name: site.name },
  );
  const tail = emitter(site.opset, `${site.name}.out.`);
  const merged = merges ? tail.call(heads.joinHeads, split)[0]! : split;
  if (casts) tail.as(site.z.value, 'Cast', [merged], { to: site.elemType });
  else if (merges) tail.as(site.z.value, 'Identity', [merged]);
  for (const [name, fn] of tail.functions) functions.set(name, fn);

  const tap = (name: string, ...shape: (string | number)[]) => ({
    name,
    value: `${site.name}.${name}`,
    elemType: DataType.FLOAT,
    shape,
  });
  const maps = tapPattern ? ['pattern', 'pattern_edited'] : [];
  const taps = [
    ...found.map((name) => tap(name, 'B', site.H, 'T')),
    ...maps.map((name) => tap(name, 'B', site.H, 'S', 'T')),
  ];
  return {
    ...lowered(emit, { knobs, states, taps }),
    nodes: [...emit.nodes, call, ...tail.nodes],
    functions: [...functions.values()],
  };
}

function localName(name: string, prefix: string): string {
  return name.slice(prefix.length + 1);
}

function bnsd(emit: Emit, { value, layout }: HeadValue, N: number): string {
  return layout === 'BNSD' ? value : emit.call(heads.splitHeads, value, emit.ints(N))[0]!;
}

/** The function's name says what is in it: sites that differ only in numbers share it. */
function functionName(
  site: ExpandedSite,
  edits: readonly Edit[],
  { tapPattern, rowElsewhere }: Pick<ExpandedOptions, 'tapPattern' | 'rowElsewhere'>,
): string {
  const form = [
    site.causal ? 'Causal' : 'Full',
    site.window ? 'Window' : '',
    site.softcap ? 'SoftCap' : '',
    site.headSink ? 'Sink' : '',
    site.keys ? 'Padded' : '',
    site.bias ? 'Biased' : '',
  ].join('');
  const parts = edits.map(({ row, options }) =>
    [row.kind.replaceAll('-', ''), ...Object.values(options)].join('_'),
  );
  return [`${form}Attention`, ...parts, tapPattern ? 'tapped' : '', rowElsewhere ? 'rows' : '']
    .filter(Boolean)
    .join('_');
}

function attentionFunction(
  site: ExpandedSite,
  edits: readonly Edit[],
  inputs: readonly [string, string][],
  outputs: readonly [string, string][],
  { tapPattern, rowElsewhere }: Pick<ExpandedOptions, 'tapPattern' | 'rowElsewhere'>,
): Primitive {
  const names = new Set(inputs.map(([name]) => name));
  const doc = `Attention of q [B, H, S, D] over k, v [B, K, T, ·] with ${edits.map(({ row }) => row.kind).join(', ') || 'no edits'}.`;
  const signature = {
    name: functionName(site, edits, { tapPattern, rowElsewhere }),
    inputs: inputs.map(([name]) => name),
    outputs: outputs.map(([name]) => name),
    doc,
  };
  return primitive(signature, (emit) => {
    const S = emit.dim('q', 2);
    const window = site.window ? 'window' : undefined;
    /** What a graph of the body works with, emitted where it is used: decoding pays for every node. */
    const prepare = (e: Emit, only = false) => {
      const T = e.dim('k', 2);
      const extent: Extent = { S, T, past: e('Sub', [T, S]), causal: site.causal, window };
      return { extent, step: composeSteps(e, edits, names, extent, only) };
    };
    type Prepared = ReturnType<typeof prepare>;

    const whole = (e: Emit, { extent, step }: Prepared, only = false) => {
      const block = wholeBlock(e, extent, only);
      const before = step.pattern(block);
      const found = step.find(e, () => step.columnSums(block, before));
      const edited = step.transfer(block, before, found);
      return { before, edited, results: step.results(step.output(block, edited), found) };
    };
    const inBlocks = (e: Emit, { extent, step }: Prepared, blocks: Blocks) => {
      const each = (body: (block: Block) => string) => mapBlocks(e, blocks, extent, body);
      /** Column sums of all rows, and a value over rows. */
      const collect = (rowsOf: (block: Block, rows: string, lse: string) => string) => {
        const shape = e('Concat', [e.dim('q', 0), e.dim('q', 1), extent.T], { axis: 0 });
        return mapAndSumBlocks(e, blocks, extent, e('Expand', [e.float(0), shape]), (block) => {
          const { rows, lse } = step.patternAndSize(block);
          const sum = block.spreadKeys(step.columnSums(block, rows));
          return { rows: rowsOf(block, rows, lse), sum };
        });
      };
      if (!step.corrects) {
        const found = step.find(e, () => collect((_block, _rows, lse) => lse).sum);
        const z = each((block) => step.output(block, step.transfer(block, step.pattern(block), found)));
        return step.results(z, found);
      }
      const plain = collect((block, rows, lse) =>
        block.emit('Concat', [step.values(block, rows), lse], { axis: 3 }),
      );
      const found = step.find(e, () => plain.sum);
      const correct = step.corrector(e, found);
      const E = e.dim('v', 3);
      const z = each((block) => {
        const both = block.cutRows(plain.rows, 2);
        return correct(block, {
          z: block.emit.slice(both, 3, block.emit.ints(0), E),
          lse: block.emit.slice(both, 3, E, block.emit.ints(BEYOND)),
        });
      });
      return step.results(z, found);
    };

    let values: readonly string[];
    if (tapPattern) {
      const { before, edited, results } = whole(emit, prepare(emit));
      values = [...results.map(([value]) => value), before, edited];
    } else {
      const several = (e: Emit) => {
        const prepared = prepare(e);
        const scores = [e.dim('q', 0), e.dim('q', 1), prepared.extent.T];
        const blocks = countBlocks(e, 'budget', scores, S, site.causal ? MOST_ROWS : undefined);
        // A short call is one block: a branch of its own would gain nothing but nodes to load.
        return inBlocks(e, prepared, blocks);
      };
      const one = (e: Emit) => whole(e, prepare(e, true), true).results;
      values = rowElsewhere
        ? several(emit).map(([value]) => value)
        : emit.either(emit('Equal', [S, emit.ints(1)]), one, several);
    }
    for (const [i, [name]] of outputs.entries()) emit.as(name, 'Identity', [values[i]!]);
  });
}
