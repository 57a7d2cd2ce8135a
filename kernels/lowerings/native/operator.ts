/**
 * The attention operator of the native runtime as a function of the graph: a node that the runtime runs with its own kernel
 * (kernels/native), and a body for all others, which is attention written out. Names and order of inputs and outputs, and the
 * attributes, are what the kernel reads: a change of theirs is another version of the name.
 */
import { DOMAIN, type Emit, emitter, opsetsFor } from '../../../onnx/emitter.ts';
import { changeNode, type FunctionDef, makeNode, type Node } from '../../../onnx/index.ts';
import type { Site } from '../../../sites/site.ts';
import type { Edit, NativeForm } from '../../edits/edit.ts';
import type { Part } from '../../site/fragment.ts';
import { type Expansion, writtenOut } from '../at-site.ts';
import type { State } from '../lowered.ts';

/** Beginning of the names of operators that this lowering writes. */
export const OPERATOR = 'GroupedAttention1';

/** In the order of the kernel's; what a site lacks is ''. */
export const INPUTS = [
  'q', // [B, S, H·D], or with k and v behind: [B, S, (H + 2K)·D]
  'k', // [B, S, K·D]
  'v',
  'past_k', // [B, K, P, D], or the buffer that holds it
  'past_v',
  'total', // T, int32
  'cos', // [M, R/2]
  'sin',
  'positions', // [B|1, S] int64
  'bias', // [B|1, H|1, S|1, T]
  'head_sink', // [H]
  'keys', // [B, T] int64, 0 at padding
  'beta', // [B|1, H|1], and so are tau and alpha
  'tau',
  'alpha',
  'first', // [B] int64
  'state', // [B, H, P]
  'counts', // [B|1, 1, P]
] as const;
export type Input = (typeof INPUTS)[number];
export type Operands = Readonly<Partial<Record<Input, string>>>;

const OUTPUTS = ['z', 'present_k', 'present_v', 'state_out'] as const;

/** Positions of a GroupQueryAttention's inputs under our names. */
const GROUPED: Readonly<Partial<Record<Input, number>>> = {
  q: 0,
  k: 1,
  v: 2,
  past_k: 3,
  past_v: 4,
  total: 6,
  cos: 7,
  sin: 8,
  head_sink: 11,
};

/** What a GroupQueryAttention reads, by our names. */
export function operandsOfNode({ inputs }: Node): Operands {
  const named = Object.entries(GROUPED).map(([name, at]) => [name, inputs[at] ?? ''] as const);
  return Object.fromEntries(named.filter(([, value]) => value !== ''));
}

export interface NativeCall {
  /** With its operator's inputs as they are, but for the bias. */
  readonly site: Site;
  readonly expansion: Expansion;
  readonly operands: Operands;
  readonly form: NativeForm | undefined;
  readonly states: readonly State[];
}

/** The node, and its function. Results: z, presentK, presentV, and the state by its local name. */
export function callOperator(call: NativeCall): Part {
  const { expansion, operands, form } = call;
  const { definition, nested } = functionOf(call);
  const outputs = OUTPUTS.slice(0, form?.state ? 4 : 3).map((output) => `${expansion.name}.native.${output}`);
  const node = makeNode(
    `${DOMAIN}.${definition.name}`,
    INPUTS.map((input) => operands[input] ?? ''),
    outputs,
    { name: `${expansion.name}.native`, attributes: attributesOf(call) },
  );
  const [z, presentK, presentV, state] = outputs as [string, string, string, string?];
  return {
    nodes: [node],
    functions: new Map([...nested, [definition.name, definition]]),
    results: { z, presentK, presentV, ...(form?.state && { [form.state]: state! }) },
  };
}

function attributesOf({ site, form }: NativeCall) {
  const { numHeads, kvHeads, headDim, scale, softcap, window, rotary } = site;
  return {
    num_heads: numHeads,
    kv_num_heads: kvHeads,
    scale: { float: scale ?? 1 / Math.sqrt(headDim) },
    softcap: { float: softcap ?? 0 },
    window: window ?? 0,
    interleaved: Number(rotary?.interleaved ?? false),
    statistics: 0,
    first_detected: 0,
    ...form?.attributes,
  };
}

/** All that the body depends on is in the name, so that sites which are alike share it. */
function nameOf({ site, expansion, operands }: NativeCall): string {
  const { numHeads, kvHeads, headDim, scale, softcap, window, rotary } = site;
  const edits = expansion.edits.map(({ row, options }: Edit) =>
    [row.kind, ...Object.values(options)].join('_'),
  );
  const parts = [
    OPERATOR,
    `h${numHeads}k${kvHeads}d${headDim}`,
    scale === undefined ? '' : `scale${scale}`,
    softcap ? `softcap${softcap}` : '',
    window ? `window${window}` : '',
    operands.cos ? `rope${rotary?.dim ?? headDim}${rotary?.interleaved ? 'i' : ''}` : '',
    ...(['k', 'bias', 'head_sink', 'keys'] as const).map((input) => (operands[input] ? input : '')),
    ...edits,
    expansion.scoreBytes === undefined ? '' : `bytes${expansion.scoreBytes}`,
  ];
  // Names of functions have no signs: 1.25 and 12.5, 1e-5 and 1e5 stay apart.
  return parts.filter(Boolean).join('_').replaceAll('.', 'p').replaceAll('-', 'm').replaceAll(/\W/g, '');
}

/** Prefix of the values inside. */
const BODY = 'body';

function functionOf(call: NativeCall): {
  readonly definition: FunctionDef;
  readonly nested: ReadonlyMap<string, FunctionDef>;
} {
  const { site, expansion, operands, form, states } = call;
  const emit = emitter(expansion.opset, `${BODY}.`);
  const inside = (input: Input) => (operands[input] ? input : '');
  const anchor = changeNode(site.anchor, {
    inputs: [
      ...(['q', 'k', 'v', 'past_k', 'past_v'] as const).map(inside),
      '',
      inside('total'),
      ...(['cos', 'sin'] as const).map(inside),
      '',
      operands.bias ? allRows(emit) : '',
      inside('head_sink'),
    ],
    outputs: ['z', 'present_k', 'present_v'].map((output) => `${BODY}.own.${output}`),
  });
  for (const { input } of states) emit.as(input.replace(expansion.name, BODY), 'Identity', ['state']);
  const values = Object.entries(form?.inputs ?? {}).filter(([input]) => input !== 'state');
  const written = writtenOut(
    { ...site, anchor },
    {
      ...expansion,
      name: BODY,
      values: Object.fromEntries(values.map(([input, value]) => [value, input])),
      positions: operands.positions && 'positions',
      attentionMask: operands.keys && 'keys',
      active: undefined,
      row: undefined,
    },
  );
  emit.insert({ nodes: written.nodes, functions: written.functions.values() });
  const { z, presentK, presentV } = written.results as Record<'z' | 'presentK' | 'presentV', string>;
  const results = [z, presentK, presentV, form?.state ? written.results[form.state]! : undefined];
  for (const [i, output] of OUTPUTS.entries()) if (results[i]) emit.as(output, 'Identity', [results[i]]);
  const definition: FunctionDef = {
    name: nameOf(call),
    domain: DOMAIN,
    overload: '',
    inputs: INPUTS,
    outputs: OUTPUTS.slice(0, form?.state ? 4 : 3),
    attributes: Object.keys(attributesOf(call)),
    attributeDefaults: [],
    nodes: emit.nodes,
    opsetImports: Object.entries(opsetsFor(expansion.opset)).map(([domain, version]) => ({
      domain,
      version,
    })),
    docString: 'Attention with edits, written out for runtimes that have no kernel of this name.',
  };
  return { definition, nested: emit.functions };
}

/** The bias with all rows, as attention that is written out reads it. */
function allRows(emit: Emit): string {
  const shape = emit('Concat', [emit.ints(1, 1), emit.dim('q', 1), emit.ints(1)], { axis: 0 });
  return emit('Expand', ['bias', shape]);
}
