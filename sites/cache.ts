/** The key/value cache of a site: which graph inputs it reads and which graph outputs it fills. */
import { intAttribute } from '../onnx/index.ts';
import type { Axes } from './axes.ts';
import { isOp, passedBy, plain } from './paths.ts';
import type { Scope } from './scope.ts';
import type { CachePair } from './site.ts';

/** Cached keys and values, given the values joined in front of the new ones. */
export function pastPair(
  scope: Scope,
  k: string | undefined,
  v: string | undefined,
  axes?: Axes,
): CachePair | undefined {
  if (k === undefined || v === undefined) return undefined;
  const [packedK, packedV] = [packedSource(scope, k), packedSource(scope, v)];
  if (packedK !== undefined && packedK === packedV) return { k: packedK, v: packedV, layout: 'packed' };
  return { k: plain(scope, k), v: plain(scope, v), layout: cacheLayout(axes) };
}

function cacheLayout(axes: Axes | undefined): CachePair['layout'] {
  const text = axes?.join('');
  return text === 'BHSD' ? 'BHPD' : text === 'BSHD' ? 'BPHD' : text === 'BHDS' ? 'BHDP' : 'other';
}

/** [2, B, H, P, D] taken apart by Gather or Split on its first axis. */
function packedSource(scope: Scope, value: string): string | undefined {
  let at = value;
  for (let steps = 0; steps < 8; steps++) {
    const node = scope.maker(at);
    if (!node) return undefined;
    if (
      isOp(node, 'Gather', 'Split') &&
      intAttribute(node, 'axis', 0) === 0 &&
      scope.rankOf(node.inputs[0] ?? '') === 5
    ) {
      return plain(scope, node.inputs[0]!);
    }
    const next =
      passedBy(scope, at) ?? (isOp(node, 'Transpose', 'Squeeze', 'Slice') ? node.inputs[0] : undefined);
    if (next === undefined) return undefined;
    at = next;
  }
  return undefined;
}

/** Graph outputs that keep k and v for the next step. */
export function presentPair(
  scope: Scope,
  k: string | undefined,
  v: string | undefined,
  axes?: Axes,
): CachePair | undefined {
  const kept = [k, v].map((value) => (value === undefined ? undefined : outputFrom(scope, value)));
  const [keptK, keptV] = kept;
  if (!keptK || !keptV) return undefined;
  const layout = keptK.packed || keptV.packed ? 'packed' : cacheLayout(axes);
  return { k: keptK.name, v: keptV.name, layout };
}

interface Kept {
  readonly name: string;
  readonly packed: boolean;
}

/** The graph output that hands a value on, perhaps transposed or stacked with its partner. */
function outputFrom(scope: Scope, value: string): Kept | undefined {
  const queue: Kept[] = [{ name: value, packed: false }];
  const seen = new Set([value]);
  for (const { name, packed } of queue) {
    if (scope.index.isOutput(name)) return { name: outerName(scope, name), packed };
    if (queue.length > 64) return undefined;
    for (const { node, input } of scope.index.uses(name)) {
      const output = node.outputs[0] ?? '';
      if (output === '' || seen.has(output) || input < 0) continue;
      const stacks = isOp(node, 'Concat') && intAttribute(node, 'axis', 0) === 0;
      if (!stacks && (input !== 0 || !isOp(node, 'Identity', 'Cast', 'Transpose', 'Unsqueeze', 'Reshape')))
        continue;
      seen.add(output);
      queue.push({ name: output, packed: packed || stacks });
    }
  }
  return undefined;
}

/** What an output of a branch is called outside of the If that holds it. */
function outerName(scope: Scope, name: string): string {
  let [at, called] = [scope, name];
  for (let step = at.path.at(-1); step?.node.opType === 'If' && at.parent; step = at.path.at(-1)) {
    const position = at.graph.outputs.findIndex((output) => output.name === called);
    const outside = step.node.outputs[position];
    if (!outside) return called;
    [at, called] = [at.parent, outside];
  }
  return called;
}
