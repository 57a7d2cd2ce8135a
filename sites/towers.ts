/** Names for the residual streams of a graph: '' for one, otherwise by what they are. */
import { isOp, unviewed } from './paths.ts';
import type { LayerDraft } from './residual.ts';
import type { Scope } from './scope.ts';

export function towerNames(scope: Scope, layers: readonly LayerDraft[]): string[] {
  const towers: LayerDraft[][] = [];
  for (const layer of layers) {
    towers[layer.tower] ??= [];
    towers[layer.tower]!.push(layer);
  }
  if (towers.length <= 1) return towers.map(() => '');
  const attended = new Set(layers.flatMap(({ sites }) => crossSources(scope, sites)));
  const used = new Map<string, number>();
  return towers.map((tower) => {
    const name = describe(scope, tower, attended);
    const times = (used.get(name) ?? 0) + 1;
    used.set(name, times);
    return times === 1 ? name : `${name}${times}`;
  });
}

function crossSources(scope: Scope, sites: LayerDraft['sites']): string[] {
  return sites.flatMap(({ attention, sources }) =>
    attention === 'cross' && sources.k !== undefined ? [unviewed(scope, sources.k)] : [],
  );
}

function describe(scope: Scope, tower: readonly LayerDraft[], attended: ReadonlySet<string>): string {
  const sites = tower.flatMap((layer) => layer.sites);
  if (sites.some(({ attention }) => attention === 'cross')) return 'decoder';
  const last = tower.at(-1)!;
  if (last.post !== undefined && leadsTo(scope, last.post, attended)) return 'encoder';
  const picture = inputRank(scope, tower[0]?.pre);
  if (picture === 4 || picture === 5) return 'vision';
  if (picture === 3) return 'audio';
  return sites.some(({ past, present }) => past ?? present) ? 'decoder' : 'text';
}

/** Final norms stand between a tower and what attends to it. */
function leadsTo(scope: Scope, value: string, goals: ReadonlySet<string>): boolean {
  const reached = new Set([value]);
  for (const at of reached) {
    if (goals.has(at)) return true;
    if (reached.size > 32) return false;
    for (const { node } of scope.index.uses(at))
      for (const output of node.outputs) if (output !== '') reached.add(output);
  }
  return false;
}

/** Rank of the input of the convolution a stream begins with. */
function inputRank(scope: Scope, pre: string | undefined): number | undefined {
  if (pre === undefined) return undefined;
  const seen = new Set([pre]);
  for (const at of seen) {
    if (seen.size > 128) return undefined;
    const node = scope.maker(at);
    if (isOp(node, 'Conv', 'ConvInteger')) return scope.rankOf(node.inputs[0]!);
    for (const input of node?.inputs ?? []) if (input !== '' && !scope.isConstant(input)) seen.add(input);
  }
  return undefined;
}
