/** What `attune inspect` finds out about a file, and its `--json` document. */
import { choiceAt, METHODS } from '../../hooks/compile/index.ts';
import { type OnnxFile, opsetVersion } from '../../onnx/index.ts';
import { type Recognition, recognise, type Site } from '../../sites/index.ts';
import { type HookPoint, locatePoints } from '../../sites/points/index.ts';
import { readConfig } from './graphs.ts';

export interface Inspection {
  readonly file: string;
  readonly producer: string;
  readonly opset: number | undefined;
  readonly irVersion: number;
  readonly nodeCount: number;
  readonly config: Record<string, unknown> | undefined;
  readonly recognition: Recognition;
  readonly points: readonly HookPoint[];
  /** Execution provider lowerings are chosen for. */
  readonly ep: string;
}

export function inspect(file: OnnxFile, graph: string, ep = 'cpu'): Inspection {
  const { model, source } = file;
  const config = readConfig(graph);
  const recognition = recognise(model, { source, ...(config ? { config } : {}) });
  return {
    file: graph,
    producer: `${model.producerName} ${model.producerVersion}`.trim(),
    opset: opsetVersion(model),
    irVersion: model.irVersion,
    nodeCount: model.graph.nodes.length,
    config,
    recognition,
    points: locatePoints(recognition),
    ep,
  };
}

function nodeLabel(node: { name: string; outputs: readonly string[] }): string {
  return node.name || node.outputs[0] || '';
}

/** The document of `--json`. */
export function inspectionJson({ file, producer, opset, recognition, points, ep }: Inspection) {
  const available = points.filter(({ source }) => source.from !== 'nowhere');
  const missing = points.filter(({ source }) => source.from === 'nowhere');
  return {
    file,
    producer,
    opset,
    sites: recognition.sites.map((site) => ({
      index: site.index,
      form: site.form,
      tower: site.tower,
      layer: site.layer,
      attention: site.attention,
      causal: site.causal,
      causalBy: site.causalBy,
      numHeads: site.numHeads,
      kvHeads: site.kvHeads,
      headDim: site.headDim,
      scale: site.scale,
      softcap: site.softcap,
      window: site.window,
      rotary: site.rotary?.by,
      scope: site.scope.map(({ node, attribute }) => `${nodeLabel(node)}.${attribute}`),
      past: site.past && { k: site.past.k, v: site.past.v },
      present: site.present && { k: site.present.k, v: site.present.v },
      nodes: site.nodes.map(nodeLabel),
      lowerings: lowerings(site, ep, opset),
    })),
    refused: recognition.refused.map(({ node, reason, code, level }) => ({ node, reason, code, level })),
    points: available.map(({ name }) => name),
    unavailable: missing.map(({ name, source }) => ({
      name,
      reason: source.from === 'nowhere' ? source.reason : '',
    })),
  };
}

/** How each method is computed at a site, and why so. */
export function lowerings(site: Site, ep: string, opset = 0) {
  return Object.fromEntries(
    METHODS.map((method) => [method, choiceAt(site, method, { ep, opset })] as const),
  );
}
