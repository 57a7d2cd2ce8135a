/** What `attune inspect` finds out about a file, and its `--json` document. */
import { isAttuneError } from '../../errors.ts';
import {
  type Choice,
  checkCapability,
  chooseLowering,
  editsBySite,
  withTwins,
} from '../../hooks/compile/index.ts';
import { modelFacts } from '../../hooks/model/index.ts';
import { definedKinds } from '../../interventions/index.ts';
import { type OnnxFile, opsetVersion } from '../../onnx/index.ts';
import { type Recognition, recognise, type Site } from '../../sites/index.ts';
import { type HookPoint, locatePoints } from '../../sites/points/index.ts';
import { readConfig } from './graphs.ts';

export interface Inspection {
  readonly file: string;
  readonly onnx: OnnxFile;
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
    onnx: file,
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
export function inspectionJson(inspection: Inspection) {
  const { file, producer, opset, recognition, points } = inspection;
  const lowerings = loweringsOf(inspection);
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
      lowerings: lowerings.bySite.get(site) ?? {},
    })),
    refused: recognition.refused.map(({ node, reason, code, level }) => ({ node, reason, code, level })),
    methodsRefused: lowerings.refused,
    points: available.map(({ name }) => name),
    unavailable: missing.map(({ name, source }) => ({
      name,
      reason: source.from === 'nowhere' ? source.reason : '',
    })),
  };
}

/** What one method takes at a site: a lowering and why, or why it cannot be had. */
export type Lowered = Choice | { readonly refused: string };

/**
 * What the compiler would take at each site for each method, asked of the function that it asks itself; methods that refuse
 * the model are left out of the sites and listed.
 */
export function loweringsOf({ onnx, recognition, config, ep, opset = 0 }: Inspection): Lowerings {
  const bySite = new Map<Site, Record<string, Lowered>>(recognition.sites.map((site) => [site, {}]));
  const refused: Record<string, string> = {};
  if (recognition.sites.length === 0) return { bySite, refused };
  const facts = modelFacts(onnx, config ?? {}, recognition);
  const { graph } = recognition.model;
  const kinds = [...definedKinds().values()].map(({ kind }) => kind);
  for (const { name, plan } of kinds.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const edits = answered(() => plan(facts).edits ?? []);
    if (typeof edits === 'string') {
      refused[name] = edits;
      continue;
    }
    const own = editsBySite(edits.flatMap((edit) => withTwins(edit, recognition.sites)));
    for (const [site, some] of own) {
      const { node, attribute } = site.scope.at(-1) ?? {};
      const inner = node?.attributes.find((one) => one.name === attribute)?.g;
      const choice = answered(() => {
        for (const edit of some) checkCapability(edit);
        return chooseLowering(site, some, { ep, opset, graph: inner ?? graph });
      });
      const lowerings = bySite.get(site);
      if (lowerings) lowerings[name] = typeof choice === 'string' ? { refused: choice } : choice;
    }
  }
  return { bySite, refused };
}

export interface Lowerings {
  readonly bySite: ReadonlyMap<Site, Readonly<Record<string, Lowered>>>;
  /** Sentence by method. */
  readonly refused: Readonly<Record<string, string>>;
}

/** The answer, or the sentence of the refusal. */
function answered<T>(ask: () => T): T | string {
  try {
    return ask();
  } catch (error) {
    if (isAttuneError(error)) return error.message;
    throw error;
  }
}
