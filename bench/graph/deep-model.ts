/**
 * A decoder as deep as one likes, in the decomposed form exporters write (rotary, cache, grouped kv heads, gated
 * MLP), for measuring graph work: 50 nodes a layer, 200 layers make 10,000. Tiny sizes, and all layers share one
 * set of weights, so it also runs.
 */
import {
  DataType,
  floatTensor,
  int64Tensor,
  type Model,
  makeGraph,
  makeModel,
  makeNode,
  makeValueInfo,
  type Node,
  type Tensor,
} from '../../onnx/index.ts';

export interface DeepModelOptions {
  readonly layers: number;
}

const H = 4;
const K = 2;
const D = 4;
const WIDTH = H * D;
const VOCABULARY = 16;

/** inputs: input_ids [B,S], past_{i}_k and past_{i}_v [B,K,P,D]; outputs: logits [B,S,V] and present_{i}_k/v. */
export function deepModel({ layers }: DeepModelOptions): Model {
  const nodes: Node[] = [];
  const at = (name: string, op: string, inputs: readonly string[], attributes = {}): string => {
    nodes.push(makeNode(op, inputs, [name], { attributes }));
    return name;
  };
  let stream = at('embedding', 'Gather', ['table', 'input_ids']);
  const mask = causalMask(at);
  const [cos, sin] = angles(at);
  for (let i = 0; i < layers; i++) stream = layer(at, `blocks.${i}`, i, stream, mask, cos, sin);
  const final = at('final_norm', 'SimplifiedLayerNormalization', [stream, 'gain'], { axis: -1 });
  at('logits', 'MatMul', [final, 'head']);
  const cache = (name: string, length: string) =>
    Array.from({ length: layers }, (_, i) => ['k', 'v'].map((part) => `${name}_${i}_${part}`))
      .flat()
      .map((value) => makeValueInfo(value, DataType.FLOAT, ['B', K, length, D]));
  const graph = makeGraph('deep', {
    nodes,
    initializers: weights(),
    inputs: [makeValueInfo('input_ids', DataType.INT64, ['B', 'S']), ...cache('past', 'P')],
    outputs: [makeValueInfo('logits', DataType.FLOAT, ['B', 'S', VOCABULARY]), ...cache('present', 'T')],
  });
  return makeModel(graph, { '': 17 });
}

type At = (
  name: string,
  op: string,
  inputs: readonly string[],
  attributes?: Record<string, number | number[]>,
) => string;

/** 0 where key ≤ query, −1e9 elsewhere; [S, T]. */
function causalMask(at: At): string {
  const S = at('S', 'Gather', [at('ids_shape', 'Shape', ['input_ids']), 'one']);
  const P = at('P', 'Gather', [at('past_shape', 'Shape', ['past_0_k']), 'two']);
  const T = at('T', 'Add', [P, S]);
  const keys = at('keys', 'Range', ['zero', T, 'one']);
  const queries = at('queries', 'Unsqueeze', [at('query_positions', 'Range', [P, T, 'one']), 'last']);
  return at('mask', 'Where', [at('later', 'Greater', [keys, queries]), 'low', 'nought']);
}

/** cos and sin of position × frequency, [S, D]. */
function angles(at: At): [string, string] {
  const positions = at('positions', 'Cast', ['queries'], { to: DataType.FLOAT });
  const half = at('half_angles', 'Mul', [positions, 'frequencies']);
  const whole = at('angles', 'Concat', [half, half], { axis: -1 });
  return [at('cos', 'Cos', [whole]), at('sin', 'Sin', [whole])];
}

function layer(at: At, name: string, i: number, x: string, mask: string, cos: string, sin: string): string {
  const to = (part: string) => `${name}.${part}`;
  const heads = (part: 'q' | 'k' | 'v', normed: string) => {
    const projected = at(to(`${part}_proj`), 'MatMul', [normed, `w_${part}`]);
    const split = at(to(`${part}_split`), 'Reshape', [projected, part === 'q' ? 'query_heads' : 'key_heads']);
    return at(to(part), 'Transpose', [split], { perm: [0, 2, 1, 3] });
  };
  const rotate = (part: string, value: string) => {
    const low = at(to(`${part}_low`), 'Slice', [value, 'from_0', 'from_half', 'last']);
    const high = at(to(`${part}_high`), 'Slice', [value, 'from_half', 'end', 'last']);
    const turned = at(to(`${part}_turned`), 'Concat', [at(to(`${part}_minus`), 'Neg', [high]), low], {
      axis: -1,
    });
    const straight = at(to(`${part}_cos`), 'Mul', [value, cos]);
    return at(to(`${part}_rotated`), 'Add', [straight, at(to(`${part}_sin`), 'Mul', [turned, sin])]);
  };
  const repeat = (part: string, value: string) => {
    const apart = at(to(`${part}_apart`), 'Unsqueeze', [value, 'axis_2']);
    return at(to(`${part}_repeated`), 'Reshape', [
      at(to(`${part}_wide`), 'Expand', [apart, 'groups']),
      'query_groups',
    ]);
  };
  const normed = at(to('ln1'), 'SimplifiedLayerNormalization', [x, 'gain'], { axis: -1 });
  const q = rotate('q', heads('q', normed));
  const k = at(`present_${i}_k`, 'Concat', [`past_${i}_k`, rotate('k', heads('k', normed))], { axis: 2 });
  const v = at(`present_${i}_v`, 'Concat', [`past_${i}_v`, heads('v', normed)], { axis: 2 });
  const keys = at(to('keys'), 'Transpose', [repeat('k', k)], { perm: [0, 1, 3, 2] });
  const scaled = at(to('scaled'), 'Mul', [at(to('raw'), 'MatMul', [q, keys]), 'scale']);
  const pattern = at(to('pattern'), 'Softmax', [at(to('scores'), 'Add', [scaled, mask])], { axis: -1 });
  const z = at(to('z'), 'MatMul', [pattern, repeat('v', v)]);
  const merged = at(to('z_flat'), 'Reshape', [
    at(to('z_back'), 'Transpose', [z], { perm: [0, 2, 1, 3] }),
    'merged',
  ]);
  const middle = at(to('mid'), 'Add', [x, at(to('attn_out'), 'MatMul', [merged, 'w_o'])]);
  const second = at(to('ln2'), 'SimplifiedLayerNormalization', [middle, 'gain'], { axis: -1 });
  const gate = at(to('gate'), 'MatMul', [second, 'w_gate']);
  const open = at(to('open'), 'Mul', [gate, at(to('sigmoid'), 'Sigmoid', [gate])]);
  const inner = at(to('inner'), 'Mul', [open, at(to('up'), 'MatMul', [second, 'w_up'])]);
  return at(to('post'), 'Add', [middle, at(to('mlp_out'), 'MatMul', [inner, 'w_down'])]);
}

function weights(): Tensor[] {
  const matrix = (name: string, rows: number, columns: number) =>
    floatTensor(
      name,
      Array.from({ length: rows * columns }, (_, i) => Math.sin(i + name.length) / rows),
      [rows, columns],
    );
  return [
    matrix('table', VOCABULARY, WIDTH),
    matrix('head', WIDTH, VOCABULARY),
    matrix('w_q', WIDTH, H * D),
    matrix('w_k', WIDTH, K * D),
    matrix('w_v', WIDTH, K * D),
    matrix('w_o', H * D, WIDTH),
    matrix('w_gate', WIDTH, WIDTH),
    matrix('w_up', WIDTH, WIDTH),
    matrix('w_down', WIDTH, WIDTH),
    floatTensor('gain', new Array(WIDTH).fill(1)),
    floatTensor('frequencies', [1, 0.01]),
    floatTensor('scale', [1 / Math.sqrt(D)], []),
    floatTensor('low', [-1e9], []),
    floatTensor('nought', [0], []),
    int64Tensor('zero', [0], []),
    int64Tensor('one', [1], []),
    int64Tensor('two', [2], []),
    int64Tensor('last', [-1]),
    int64Tensor('axis_2', [2]),
    int64Tensor('from_0', [0]),
    int64Tensor('from_half', [D / 2]),
    int64Tensor('end', [D]),
    int64Tensor('query_heads', [0, 0, H, D]),
    int64Tensor('key_heads', [0, 0, K, D]),
    int64Tensor('groups', [1, 1, H / K, 1, 1]),
    int64Tensor('query_groups', [0, H, -1, D]),
    int64Tensor('merged', [0, 0, H * D]),
  ];
}
