/**
 * One piece of graph work in a process of its own, so that time and memory are those of a first call: nothing is
 * compiled or allocated yet but the modules themselves. Then ONNX Runtime creates the session of the same model, which
 * is what the work is measured against. Prints one JSON line.
 *
 *     node --import tsx bench/graph/instrument.ts model <file.onnx>
 *     node --import tsx bench/graph/instrument.ts deep <layers>
 */
import { basename } from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import { compile } from '../../hooks/compile/index.ts';
import { assemble, bytesSource, encodeModel, graft, openModel } from '../../onnx/index.ts';
import { recognise } from '../../sites/index.ts';
import { locatePoints } from '../../sites/points/index.ts';
import { type Sample, stopwatch } from '../paired.ts';
import { deepModel } from './deep-model.ts';

export interface GraphWork extends Sample {
  /** ONNX Runtime's own creation of the session of the untouched model. */
  readonly creation: Sample;
  /** Time of each stage, wall. */
  readonly stages: Readonly<Record<string, number>>;
  /** Growth of resident memory over the work, at its highest. */
  readonly residentBytes: number;
  readonly bytesRead: number;
  readonly bytesOut: number;
  readonly fileSize: number;
  readonly nodes: number;
  readonly sites: number;
  readonly taps: number;
}

class Stages {
  readonly times: Record<string, number> = {};
  #last = performance.now();

  done(name: string): void {
    const now = performance.now();
    this.times[name] = now - this.#last;
    this.#last = now;
  }
}

/** File to the bytes a session is made from, with every residual point tapped. */
async function instrument(path: string): Promise<GraphWork> {
  const before = process.memoryUsage().rss;
  const stop = stopwatch();
  const stages = new Stages();
  const file = await openModel(path);
  stages.done('open');
  const recognition = recognise(file.model, { source: file.source });
  stages.done('recognise');
  const taps = locatePoints(recognition).filter(
    ({ kind, source }) => kind.startsWith('hook_resid') && source.from !== 'nowhere',
  );
  const compiled = compile(recognition, { taps });
  stages.done('compile');
  const bytes = await assemble(graft(compiled.model, basename(path)), file.source);
  stages.done('graft');
  const time = stop();
  const residentBytes = process.resourceUsage().maxRSS * 1024 - before;
  const work = {
    ...time,
    stages: stages.times,
    residentBytes,
    bytesRead: file.bytesRead,
    bytesOut: bytes.length,
    fileSize: file.source.size,
    nodes: file.model.graph.nodes.length,
    sites: recognition.sites.length,
    taps: compiled.taps.length,
  };
  file.close();
  return { ...work, creation: await created(path) };
}

/** From a file's path or a model's bytes, as a program without attune has it. */
async function created(model: string | Uint8Array): Promise<Sample> {
  const stop = stopwatch();
  const session = await InferenceSession.create(model as string, { logSeverityLevel: 3 });
  const time = stop();
  await session.release();
  return time;
}

async function recogniseDeep(layers: number): Promise<GraphWork> {
  const model = deepModel({ layers });
  const before = process.memoryUsage().rss;
  const stop = stopwatch();
  const { sites } = recognise(model);
  const time = stop();
  return {
    ...time,
    stages: { recognise: time.wall },
    residentBytes: process.resourceUsage().maxRSS * 1024 - before,
    bytesRead: 0,
    bytesOut: 0,
    fileSize: 0,
    nodes: model.graph.nodes.length,
    sites: sites.length,
    taps: 0,
    creation: await created(await assemble(encodeModel(model), bytesSource(new Uint8Array()))),
  };
}

const [what, argument = ''] = process.argv.slice(2);
const work = what === 'deep' ? await recogniseDeep(Number(argument)) : await instrument(argument);
process.stdout.write(`${JSON.stringify(work)}\n`);
