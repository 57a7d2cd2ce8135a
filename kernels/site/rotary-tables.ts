/**
 * Cosines and sines for any position, from what a graph has: the tables of an operator, or the arithmetic that makes them
 * from positions, written a second time for positions of our own. Whatever scaling a model uses is in that arithmetic, so
 * none has to be known here.
 */
import { AttuneError } from '../../errors.ts';
import type { Emit } from '../../onnx/emitter.ts';
import { changeNode, DataType, type GraphIndex, type Node, subgraphs } from '../../onnx/index.ts';
import type { Site } from '../../sites/site.ts';

/** float32 values [positions, dim/2]. */
export interface Tables {
  readonly cos: string;
  readonly sin: string;
}

export interface Wanted {
  readonly count: string;
  readonly needed: string;
}

/** Name of the [B, S] positions in Hub exports. */
const POSITION_IDS = 'position_ids';

/**
 * @param count how many positions are needed, int64 [1]; tables of an operator have their own length
 * @param needed bool [1]: where false, arithmetic is spared and its tables have no meaning
 * @param once memo of the graph: layers with the same tables share them
 * @throws AttuneError INTERVENTION_REFUSED where the graph does not say how it makes them
 */
export function rotaryTables(
  emit: Emit,
  index: GraphIndex,
  site: Site,
  { count, needed }: Wanted,
  once: (key: string, make: () => string) => string,
): Tables {
  const rotary = site.rotary!;
  const { cos, sin } = rotary;
  if (!cos || !sin) throw refuse(site, 'no values that hold its cosines and sines');
  const float = (value: string) => {
    const half = site.elemType !== undefined && site.elemType !== DataType.FLOAT;
    return half ? once(`float ${value}`, () => emit.cast(value, DataType.FLOAT)) : value;
  };
  if (rotary.tables) return { cos: float(cos), sin: float(sin) };
  const table = (value: string) => {
    const source = behindViews(index, value);
    return once(`table ${source}`, () => evaluated(emit, index, site, source, { count, needed }, once));
  };
  return { cos: table(cos), sin: table(sin) };
}

/** Layers often add axes of their own to a shared value. */
function behindViews(index: GraphIndex, value: string): string {
  let at = value;
  for (let node = index.producer(at)?.node; node; node = index.producer(at)?.node) {
    if (node.opType !== 'Unsqueeze' && node.opType !== 'Identity') break;
    at = node.inputs[0]!;
  }
  return at;
}

/** The value for positions 0 … count - 1, one number for each pair of channels. */
function evaluated(
  emit: Emit,
  index: GraphIndex,
  site: Site,
  value: string,
  { count, needed }: Wanted,
  once: (key: string, make: () => string) => string,
): string {
  const { source, nodes } = positionArithmetic(index, site, value);
  const range = once('table positions', () => emit.range(count));
  const positions =
    source === POSITION_IDS
      ? once('table rows', () => emit.op('Unsqueeze', [range, emit.ints(0)], 'rows'))
      : range;
  const [table] = emit.either(
    needed,
    (inner) => {
      const names = new Map([[source, positions]]);
      for (const node of nodes) {
        for (const output of node.outputs) if (output) names.set(output, inner.fresh(`table/${output}`));
        const rename = (name: string) => names.get(name) ?? name;
        const name = names.get(node.outputs[0]!) ?? '';
        inner.add(
          changeNode(node, { name, inputs: node.inputs.map(rename), outputs: node.outputs.map(rename) }),
        );
      }
      return [[pairs(inner, site, names.get(value)!, count), DataType.FLOAT]];
    },
    (inner) => [[inner.scalar(1), DataType.FLOAT]],
  ) as [string];
  return table;
}

/** Of a table as the graph makes it, one number for each pair of channels: float32 [count, dim/2]. */
function pairs(emit: Emit, { rotary }: Site, value: string, count: string): string {
  const { interleaved, dim, by } = rotary!;
  const made = emit.cast(value, DataType.FLOAT);
  // Axes of one around positions and channels; where the batch came along, its first row is enough.
  const width = emit.op('Gather', [emit.op('Shape', [made], 'shape'), emit.ints(-1)], 'width', { axis: 0 });
  const shape = emit.op('Concat', [emit.ints(-1), width], 'shape_of', { axis: 0 });
  const rows = emit.slice(emit.op('Reshape', [made, shape], 'reshape'), 0, emit.ints(0), count);
  if (by === 'node') return rows; // the operator takes one number for each pair
  if (!interleaved) return emit.slice(rows, 1, emit.ints(0), emit.ints(dim! / 2));
  const [start, end, axis, step] = [0, Number.MAX_SAFE_INTEGER, 1, 2].map((n) => emit.ints(n));
  return emit.op('Slice', [rows, start!, end!, axis!, step!], 'pairs');
}

/** Nodes between positions and a value, in order of execution, and the value that holds the positions. */
function positionArithmetic(index: GraphIndex, site: Site, value: string): { source: string; nodes: Node[] } {
  const order: Node[] = [];
  const seen = new Set<string>();
  const ranges: string[] = [];
  let taken = false;
  const visit = (name: string): void => {
    if (name === '' || seen.has(name)) return;
    seen.add(name);
    const node = index.producer(name)?.node;
    if (!node) {
      taken ||= name === POSITION_IDS;
      return;
    }
    if (subgraphs(node).length > 0) throw refuse(site, 'tables that depend on a branch of the graph');
    if (node.opType === 'Range') ranges.push(name);
    node.inputs.forEach(visit);
    order.push(node);
  };
  visit(value);
  const source = taken ? POSITION_IDS : ranges.length === 1 ? ranges[0] : undefined;
  if (source === undefined) throw refuse(site, 'tables that are made from no known positions');
  const depends = new Set([source]);
  const nodes = order.filter((node) => {
    if (node.outputs.includes(source) || !node.inputs.some((input) => depends.has(input))) return false;
    for (const output of node.outputs) depends.add(output);
    return true;
  });
  if (nodes.length > 0) return { source, nodes };
  throw refuse(site, 'tables that do not depend on positions');
}

function refuse(site: Site, found: string): AttuneError {
  return new AttuneError('INTERVENTION_REFUSED', {
    at: site.anchor.name || site.anchor.opType,
    found: `rotary positions with ${found}`,
    expected: 'tables, or arithmetic that makes them from position_ids',
    hint: 'Please report this export with `attune inspect --explain`; one with GroupQueryAttention will do.',
  });
}
