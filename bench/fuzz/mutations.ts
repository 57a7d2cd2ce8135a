/** Ways to change a model file, by name: most leave a file that can be read and means something else. */
import { type Field, isMessage, type Message, messages, text, texts } from './wire-tree.ts';

/** Uniform in [0, 1). */
export type Random = () => number;
export type Mutation = (model: Message, random: Random) => void;

/** mulberry32: seeded, so a finding can be repeated. */
export function randomSource(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const below = (random: Random, count: number): number => Math.floor(random() * count);
export const oneOf = <T>(random: Random, all: readonly T[]): T | undefined => all[below(random, all.length)];

const NUMBERS = [
  ...[0n, 1n, 2n, 3n, 7n, 16n, 64n, 127n, 128n, 255n, 1000n, 65536n, -1n, -2n, -128n],
  ...[
    2n ** 31n - 1n,
    2n ** 31n,
    2n ** 32n,
    10n ** 12n,
    2n ** 53n - 1n,
    2n ** 53n + 1n,
    2n ** 63n - 1n,
    -(2n ** 63n),
  ],
];

const WORDS = [
  ...[
    '',
    '/',
    '..',
    '__proto__',
    'constructor',
    'hasOwnProperty',
    'a\u0000b',
    '\u001b[31mred',
    '\u202eabc',
    '<script>',
  ],
  ...['x'.repeat(4000), 'input_ids', 'logits', 'attention_mask', 'past_key_values.0.key', 'present.0.key'],
  ...['blocks.0.attn.hook_q', 'attune.0', 'ai.onnx', 'com.microsoft', 'axis', 'perm', 'num_heads', 'value'],
  ...[
    'If',
    'Loop',
    'Scan',
    'MatMul',
    'Softmax',
    'Constant',
    'Identity',
    'Reshape',
    'Transpose',
    'Gather',
    'Dropout',
  ],
  ...['Attention', 'GroupQueryAttention', 'MultiHeadAttention', 'RotaryEmbedding', 'Exp', 'ReduceSum', 'Div'],
];

const LOCATIONS = [
  '',
  '.',
  '..',
  '../../etc/passwd',
  '/etc/passwd',
  'a/../../b',
  'model.onnx',
  '\u0000',
  'x'.repeat(300),
];
const EXTENTS = ['0', '-1', '4', '4096', '1e9', 'NaN', '', ' 7 ', '0x10', '18446744073709551615'];

const fieldsOf = (model: Message) => messages(model).flatMap(({ fields }) => fields);
const filled = (model: Message) => messages(model).filter(({ fields }) => fields.length > 0);
const numbered = (message: Message, number: number) =>
  message.fields.filter((field) => field.number === number);
const graphOf = (model: Message) => messages(model, 'graph')[0];
const varint = (number: number, value: bigint): Field => ({ number, wire: 0, value });
const bytes = (number: number, value: Uint8Array | Message): Field => ({ number, wire: 2, value });

/** A copy, so that what is put elsewhere may be changed there. */
const copied = (field: Field): Field => structuredClone(field);

function set(field: Field | undefined, value: Field['value'] | undefined): void {
  if (field && value !== undefined) field.value = value;
}

/** An operator reads another value. @param reach how many nodes back its maker may stand */
function rewired(model: Message, random: Random, reach: number): void {
  const nodes = oneOf(random, messages(model, 'graph'))!.fields.filter(
    ({ value }) => isMessage(value) && value.kind === 'node',
  );
  const at = 1 + below(random, nodes.length - 1);
  const from = nodes[Math.max(0, at - 1 - below(random, reach))];
  if (nodes.length < 2 || !from) return;
  const outputs = numbered(from.value as Message, 2);
  set(oneOf(random, numbered(nodes[at]!.value as Message, 1)), oneOf(random, outputs)?.value);
}

export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  number: (model, random) => {
    const numbers = fieldsOf(model).filter(({ value }) => typeof value === 'bigint');
    set(oneOf(random, numbers), oneOf(random, NUMBERS));
  },
  dims: (model, random) => {
    const tensor = oneOf(random, messages(model, 'tensor'));
    if (!tensor) return;
    const dims = Array.from({ length: below(random, 6) }, () => varint(1, oneOf(random, NUMBERS)!));
    tensor.fields = [...dims, ...tensor.fields.filter(({ number }) => number !== 1)];
  },
  'element type': (model, random) => {
    const typed = oneOf(random, [...messages(model, 'tensor'), ...messages(model, 'tensorType')]);
    if (typed) set(numbered(typed, typed.kind === 'tensor' ? 2 : 1)[0], BigInt(below(random, 30)));
  },
  word: (model, random) => set(oneOf(random, messages(model).flatMap(texts)), text(oneOf(random, WORDS)!)),
  'word of the model': (model, random) => {
    const all = messages(model).flatMap(texts);
    set(oneOf(random, all), oneOf(random, all)?.value);
  },
  'not UTF-8': (model, random) =>
    set(oneOf(random, messages(model).flatMap(texts)), Uint8Array.of(0xff, 0xfe, 0xed, 0xa0, 0x80)),
  drop: (model, random) => {
    const { fields } = oneOf(random, filled(model))!;
    fields.splice(below(random, fields.length), 1);
  },
  'drop a node': (model, random) => {
    const { fields } = oneOf(random, messages(model, 'graph'))!;
    const nodes = fields.filter(({ value }) => isMessage(value) && value.kind === 'node');
    const node = oneOf(random, nodes);
    if (node) fields.splice(fields.indexOf(node), 1);
  },
  double: (model, random) => {
    const { fields } = oneOf(random, filled(model))!;
    const at = below(random, fields.length);
    fields.splice(at, 0, copied(fields[at]!));
  },
  swap: (model, random) => {
    const { fields } = oneOf(random, filled(model))!;
    const [a, b] = [below(random, fields.length), below(random, fields.length)];
    [fields[a], fields[b]] = [fields[b]!, fields[a]!];
  },
  reverse: (model) => graphOf(model)?.fields.reverse(),
  'rewire near': (model, random) => rewired(model, random, 12),
  rewire: (model, random) => rewired(model, random, 10_000),
  operator: (model, random) => {
    const types = messages(model, 'node').flatMap((node) => numbered(node, 4));
    set(oneOf(random, types), oneOf(random, types)?.value);
  },
  attribute: (model, random) => {
    const [node, attribute] = [
      oneOf(random, messages(model, 'node')),
      oneOf(random, messages(model, 'attribute')),
    ];
    if (node && attribute) node.fields.push(copied(bytes(5, attribute)));
  },
  'attribute of another type': (model, random) => {
    const attribute = oneOf(random, messages(model, 'attribute'));
    if (!attribute) return;
    const number = oneOf(random, NUMBERS)!;
    const odd = new Uint8Array(Float32Array.of(oneOf(random, [Number.NaN, Infinity, -0, 1e38, -1])!).buffer);
    const values: Field[] = [
      varint(3, number),
      { number: 2, wire: 5, value: odd },
      varint(8, number),
      bytes(4, Uint8Array.of(255, 0, 1)),
      bytes(21, text('nowhere')),
    ];
    attribute.fields = [
      ...attribute.fields.filter(({ number: n }) => n === 1 || n === 20),
      oneOf(random, values)!,
    ];
  },
  'wire type': (model, random) => {
    const field = oneOf(random, fieldsOf(model))!;
    field.wire = below(random, 8);
    if (field.wire === 0 && typeof field.value !== 'bigint') field.value = 5n;
    if (field.wire !== 0) field.value = new Uint8Array(field.wire === 1 ? 8 : 4);
  },
  length: (model, random) => {
    const field = oneOf(
      random,
      fieldsOf(model).filter(({ wire }) => wire === 2),
    );
    if (field)
      field.length = oneOf(random, [
        0n,
        1n,
        5n,
        100n,
        2n ** 20n,
        2n ** 31n,
        2n ** 53n,
        2n ** 63n,
        2n ** 64n - 1n,
      ])!;
  },
  payload: (model, random) => {
    const payloads = messages(model, 'tensor').flatMap((tensor) =>
      tensor.fields.filter(
        ({ number, value }) => [4, 5, 7, 9, 10].includes(number) && value instanceof Uint8Array,
      ),
    );
    const field = oneOf(random, payloads);
    if (!field) return;
    const old = field.value as Uint8Array;
    const made = [
      old.subarray(0, below(random, old.length)),
      new Uint8Array(old.length + 1 + below(random, 2000)),
      old.map(() => below(random, 256)),
    ];
    field.value = oneOf(random, made)!;
  },
  external: (model, random) => {
    const tensor = oneOf(random, messages(model, 'tensor'));
    if (!tensor) return;
    const entry = (key: string, value: string) =>
      bytes(13, { kind: 'entry', fields: [bytes(1, text(key)), bytes(2, text(value))] });
    const entries = [entry('location', oneOf(random, LOCATIONS)!)];
    for (const key of ['offset', 'length'])
      if (random() < 0.7) entries.push(entry(key, oneOf(random, EXTENTS)!));
    const rest = tensor.fields.filter(({ number }) => ![4, 5, 7, 9, 10, 11].includes(number));
    tensor.fields = [...rest, varint(14, 1n), ...entries];
  },
  function: (model, random) => outlined(model, random),
  nest: (model, random) => {
    const graph = graphOf(model);
    if (!graph) return;
    let inner: Message = {
      kind: 'graph',
      fields: graph.fields.filter(({ number }) => number === 12).map(copied),
    };
    for (let depth = oneOf(random, [1, 2, 10, 63, 64, 65, 200])!; depth > 0; depth--)
      inner = branch(inner, depth);
    graph.fields.push(inner.fields[0]!);
  },
  dimension: (model, random) => {
    const dim = oneOf(random, messages(model, 'dim'));
    if (!dim) return;
    const numeric = random() < 0.5;
    dim.fields = [numeric ? varint(1, oneOf(random, NUMBERS)!) : bytes(2, text(oneOf(random, WORDS)!))];
  },
  opset: (model, random) => {
    const opset = oneOf(random, messages(model, 'opset'));
    if (opset) set(numbered(opset, 2)[0], BigInt(below(random, 30)));
  },
  'constant that is an input': (model, random) => {
    const graph = graphOf(model);
    const name = oneOf(
      random,
      messages(model, 'tensor').flatMap((tensor) => numbered(tensor, 8)),
    );
    if (graph && name)
      graph.fields.push(bytes(11, { kind: 'value', fields: [bytes(1, name.value as Uint8Array)] }));
  },
  view: (model, random) => {
    const graph = graphOf(model);
    const input = oneOf(
      random,
      messages(model, 'node').flatMap((node) => numbered(node, 1)),
    );
    if (!graph || !input) return;
    const name = text('seen');
    const axis: Message = {
      kind: 'attribute',
      fields: [bytes(1, text('axis')), varint(3, 0n), varint(20, 2n)],
    };
    const operator = oneOf(random, ['Identity', 'Dropout', 'Concat'])!;
    const fields = [copied({ ...input, number: 1 }), bytes(2, name), bytes(4, text(operator))];
    if (operator === 'Concat') fields.push(bytes(5, axis));
    input.value = name;
    graph.fields.unshift(bytes(1, { kind: 'node', fields }));
  },
};

function branch(inner: Message, depth: number): Message {
  const attribute: Message = {
    kind: 'attribute',
    fields: [bytes(1, text('then_branch')), varint(20, 5n), bytes(6, inner)],
  };
  const fields = [
    bytes(1, text('cond')),
    bytes(2, text(`nested_${depth}`)),
    bytes(4, text('If')),
    bytes(5, attribute),
  ];
  return { kind: 'graph', fields: [bytes(1, { kind: 'node', fields })] };
}

/** Some nodes become a function of the model, which may call itself. */
function outlined(model: Message, random: Random): void {
  const graph = graphOf(model);
  const nodes = graph?.fields.filter(({ value }) => isMessage(value) && value.kind === 'node') ?? [];
  if (!graph || nodes.length < 4) return;
  const at = below(random, nodes.length - 3);
  const body = nodes.slice(at, at + 1 + below(random, 6));
  const names = (number: number) => {
    const all = body.flatMap(({ value }) => numbered(value as Message, number));
    return new Map(
      all.map(({ value }) => [new TextDecoder().decode(value as Uint8Array), value as Uint8Array]),
    );
  };
  const outputs = names(2);
  const inputs = [...names(1)]
    .filter(([name]) => name !== '' && !outputs.has(name))
    .map(([, value]) => value);
  const call: Message = {
    kind: 'node',
    fields: [
      ...inputs.map((value) => bytes(1, value)),
      ...[...outputs.values()].map((value) => bytes(2, value)),
      bytes(3, text(oneOf(random, ['call', '', 'a/b'])!)),
      bytes(4, text('Outlined')),
      bytes(7, text('local')),
    ],
  };
  const opset = (domain: string, version: bigint): Message => ({
    kind: 'opset',
    fields: [bytes(1, text(domain)), varint(2, version)],
  });
  const own = body.map((field) => ({ ...copied(field), number: 7 }));
  if (random() < 0.2) own.push({ ...copied(bytes(7, call)), number: 7 });
  const fields = [
    bytes(1, text('Outlined')),
    ...inputs.map((value) => bytes(4, value)),
    ...[...outputs.values()].map((value) => bytes(5, value)),
    ...own,
    bytes(9, opset('', random() < 0.8 ? versionOf(model) : 9n)),
    bytes(10, text('local')),
  ];
  model.fields.push(bytes(25, { kind: 'function', fields }), bytes(8, opset('local', 1n)));
  const place = graph.fields.indexOf(body[0]!);
  graph.fields.splice(place, 0, bytes(1, call));
  graph.fields = graph.fields.filter((field) => !body.includes(field));
}

function versionOf(model: Message): bigint {
  const opset = messages(model, 'opset').find(
    (one) => (numbered(one, 1)[0]?.value as Uint8Array | undefined)?.length !== 13,
  );
  return (opset && (numbered(opset, 2)[0]?.value as bigint | undefined)) ?? 17n;
}
