/** What interventions may know of a model: its graph, its sites, its configuration, and a fingerprint. */
import { AttuneError } from '../../errors.ts';
import { encodeModel, type OnnxFile } from '../../onnx/index.ts';
import { sha256 } from '../../onnx/sha256.ts';
import { recognise } from '../../sites/index.ts';
import { type HookPoint, locatePoints } from '../../sites/points/index.ts';
import type { Recognition, Site } from '../../sites/site.ts';

/** What attune found out about a model when it was loaded: an intervention plans its edits from it. */
export interface ModelFacts {
  /** The decoder's graph, weights left in their file. */
  readonly file: OnnxFile;
  /** config.json of the model. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Every attention that was recognised in the graph, and what was not, with reasons. */
  readonly recognition: Recognition;
  /** Hook points in order of execution. */
  readonly points: readonly HookPoint[];
  /** Self-attention sites of the decoder, by layer: what language-model interventions act on. */
  readonly decoder: readonly Site[];
}

/**
 * What there is to know of an opened graph and its configuration.
 *
 * @example const facts = modelFacts(await openModel('onnx/model.onnx'), config);
 *
 * @throws AttuneError NO_ATTENTION with the recogniser's reasons
 */
export function modelFacts(
  file: OnnxFile,
  config: Readonly<Record<string, unknown>>,
  recognition = recognise(file.model, { source: file.source, config }),
): ModelFacts {
  if (recognition.sites.length === 0) {
    throw new AttuneError('NO_ATTENTION', {
      at: file.source.name,
      found: recognition.refused.map(({ reason }) => reason).join('; ') || 'no attention in the graph',
      hint: '`attune inspect --explain` shows what almost matched.',
    });
  }
  const towers = new Set(recognition.sites.map(({ tower }) => tower));
  const tower = towers.has('decoder') ? 'decoder' : [...towers][0]!;
  const self = recognition.sites.filter((site) => site.attention === 'self' && site.tower === tower);
  // Merged decoders hold each layer once per branch; edits of one reach its twins.
  const decoder = self
    .filter((site) => self.find(({ layer }) => layer === site.layer) === site)
    .sort((a, b) => a.layer - b.layer);
  return { file, config, recognition, points: locatePoints(recognition), decoder };
}

/**
 * SHA-256 over the graph and the place and size of every weight, hex. Two exports of one checkpoint differ; a
 * renamed copy does not. Weights themselves are not read.
 */
export async function fingerprint(file: OnnxFile): Promise<string> {
  const parts = encodeModel(file.model).map((piece) =>
    piece instanceof Uint8Array ? piece : `<${piece.length} bytes>`,
  );
  return sha256(...parts);
}
