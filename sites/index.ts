/**
 * Recognising attention in an ONNX graph, whatever form an exporter gave it.
 *
 *     const { sites, residual, refused } = recognise(file.model, { source: file.source });
 *
 * Structure decides, names do not. What almost fitted is in `nearMisses`, what is declined in `refused`.
 */
import {
  type ByteSource,
  inlineFunctions,
  type Model,
  qualifiedOp,
  type Tensor,
  tensorValues,
} from '../onnx/index.ts';
import { crossOrSelf } from './cross-attention.ts';
import { decomposed } from './decomposed.ts';
import { groupQueryAttention } from './group-query-attention.ts';
import { configuredHeads, layerWarning, type ModelConfig } from './model-config.ts';
import { multiHeadAttention } from './multi-head-attention.ts';
import { onnxAttention } from './onnx-attention.ts';
import { packedAttention } from './packed-attention.ts';
import {
  fileRefusal,
  isGenerationWrapper,
  missedRefusals,
  partialRemark,
  refusalOf,
  siteWarnings,
} from './refusals.ts';
import { type LayerDraft, layersOf, residualLayer } from './residual.ts';
import { isMiss, type SiteDraft, type SiteRule } from './rule.ts';
import { mainScope, type Scope, scopes } from './scope.ts';
import type { NearMiss, Recognition, Refusal, ResidualLayer, Site } from './site.ts';
import { towerNames } from './towers.ts';

export * from './site.ts';

/** What helps to recognise a model beside its graph. */
export interface RecogniseOptions {
  /** The open file, for constants that were left in it (mask tables above 1 KiB). */
  readonly source?: ByteSource | undefined;
  /** config.json of the Hub folder: settles what the graph leaves open, and the number of layers is compared. */
  readonly config?: ModelConfig | undefined;
}

/** Fused operators first: they are cheap to tell. The order does not change the result, anchors are disjoint. */
const RULES: readonly SiteRule[] = [
  groupQueryAttention,
  multiHeadAttention,
  packedAttention,
  onnxAttention,
  decomposed,
];

const BY_ANCHOR = new Map<string, SiteRule[]>();
for (const rule of RULES) {
  for (const anchor of rule.anchors) BY_ANCHOR.set(anchor, [...(BY_ANCHOR.get(anchor) ?? []), rule]);
}

/**
 * Find every attention site of a model, sub-graphs and model-local functions included.
 *
 * @throws AttuneError ONNX_DUPLICATE_VALUE, ONNX_CYCLE, ONNX_MALFORMED for graphs that are none
 */
export function recognise(model: Model, options: RecogniseOptions = {}): Recognition {
  const flat = inlineFunctions(model);
  const main = mainScope(flat, {
    values: (tensor: Tensor) => tensorValues(tensor, options.source),
    configuredHeads: configuredHeads(options.config),
  });
  const sites: Site[] = [];
  const residual: ResidualLayer[] = [];
  const refused: Refusal[] = [];
  const nearMisses: NearMiss[] = [];
  for (const scope of scopes(main)) {
    if (scope.path.some(({ node }) => isGenerationWrapper(node))) continue;
    refused.push(...declined(scope));
    const drafts = matched(scope, nearMisses);
    const layers = layersOf(scope, drafts);
    const names = towerNames(scope, layers);
    const layerOf = new Map<SiteDraft, LayerDraft>(
      layers.flatMap((layer) => layer.sites.map((site) => [site, layer])),
    );
    for (const draft of drafts) {
      const { sources: _, warnings: __, ...rest } = draft;
      const layer = layerOf.get(draft)!;
      sites.push({
        ...rest,
        index: sites.length,
        layer: layer.layer,
        tower: names[layer.tower]!,
        scope: scope.path,
      });
      refused.push(...siteWarnings(scope, draft));
    }
    residual.push(
      ...layers.map((layer) => ({ ...residualLayer(layer, names[layer.tower]!), scope: scope.path })),
    );
  }
  if (sites.length > 0) refused.push(...missedRefusals(nearMisses));
  for (const remark of [
    layerWarning(options.config, residual),
    partialRemark(sites.length, refused, nearMisses),
    fileRefusal(sites.length, refused, nearMisses),
  ]) {
    if (remark) refused.push(remark);
  }
  return { model: flat, sites, residual, refused, nearMisses };
}

function declined(scope: Scope): Refusal[] {
  return scope.graph.nodes.flatMap((node) => refusalOf(node, (op) => BY_ANCHOR.has(op)) ?? []);
}

function matched(scope: Scope, nearMisses: NearMiss[]): SiteDraft[] {
  const drafts: SiteDraft[] = [];
  for (const position of scope.order) {
    const node = scope.graph.nodes[position]!;
    for (const rule of BY_ANCHOR.get(qualifiedOp(node)) ?? []) {
      const result = rule.match(node, { scope, position });
      if (!result) continue;
      if (isMiss(result)) nearMisses.push({ rule: rule.name, node: result.node, reason: result.reason });
      else drafts.push({ ...result, attention: crossOrSelf(scope, result) });
    }
  }
  return drafts;
}
