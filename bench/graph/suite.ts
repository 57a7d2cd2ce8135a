/**
 * Graph work before a session exists: reading, recognising, editing, writing. Every run is a fresh process, in which
 * ONNX Runtime then creates a session of the same model: times are shares of that.
 */
import { execFile } from 'node:child_process';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { singleFileModel } from '../models/single-file.ts';
import type { Clock } from '../paired.ts';
import { median } from '../statistics.ts';
import type { Case, Measurement, RunOptions, Suite } from '../suite.ts';
import type { GraphWork } from './instrument.ts';

/** Fresh processes per measurement. */
const PROCESSES = 9;
const DEEP_LAYERS = 50; // ONNX Runtime's own creation grows with the square of their number: 45 s at 100.

const INSTRUMENT = join(import.meta.dirname, `instrument${extname(import.meta.filename)}`);

/** Runs in a row, not side by side: they must not share the processor. */
async function inFreshProcesses(count: number, ...args: string[]): Promise<GraphWork[]> {
  const works: GraphWork[] = [];
  for (let i = 0; i < count; i++) {
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...process.execArgv,
      INSTRUMENT,
      ...args,
    ]);
    works.push(JSON.parse(stdout) as GraphWork);
  }
  return works;
}

/** One set of processes serves the three cases about the large file. */
function largeFile(): (options: RunOptions) => Promise<GraphWork[]> {
  let works: Promise<GraphWork[]> | undefined;
  return ({ effort }) => {
    works ??= singleFileModel().then((path) => inFreshProcesses(PROCESSES * effort, 'model', path));
    return works;
  };
}

const instrumented = largeFile();

const cases: Case[] = [
  {
    case: 'instrument a 1.2 GB file',
    bound: 0.05,
    run: async (options) => time(await instrumented(options), options.clock),
  },
  {
    case: 'bytes read of it, %',
    bound: 1,
    bounds: 'value',
    run: async (options) => {
      const [work] = await instrumented(options);
      const { bytesRead, bytesOut, fileSize } = work!;
      return {
        value: (100 * bytesRead) / fileSize,
        note: `${megabytes(bytesRead)} of ${megabytes(fileSize)} read, ${megabytes(bytesOut)} handed to ONNX Runtime`,
      };
    },
  },
  {
    case: 'resident growth, MB',
    bound: 50,
    bounds: 'value',
    run: async (options) => {
      const works = await instrumented(options);
      const growth = works.map(({ residentBytes }) => residentBytes / 1e6);
      return { value: median(growth), note: `largest ${Math.max(...growth).toFixed(1)}` };
    },
  },
  {
    case: `recognise ${DEEP_LAYERS} layers`,
    bound: 0.1,
    run: async ({ effort, clock }) =>
      time(await inFreshProcesses(PROCESSES * effort, 'deep', String(DEEP_LAYERS)), clock),
  },
];

function time(works: readonly GraphWork[], clock: Clock): Measurement {
  const times = works.map((work) => work[clock]);
  const creations = works.map(({ creation }) => creation[clock]);
  const { nodes, sites, taps } = works[0]!;
  const stages = Object.keys(works[0]!.stages).map(
    (stage) => `${stage} ${median(works.map((work) => work.stages[stage]!)).toFixed(0)}`,
  );
  const what = `${nodes} nodes, ${sites} sites${taps > 0 ? `, ${taps} taps` : ''}`;
  const range = `${Math.min(...times).toFixed(0)}–${Math.max(...times).toFixed(0)} over ${times.length} processes`;
  const ratio = median(works.map((work) => work[clock] / work.creation[clock]));
  return {
    baselineMs: median(creations),
    ms: median(times),
    ratio,
    note: `${what}; ${range}; wall: ${stages.join(', ')}`,
  };
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 0)} MB`;
}

export const graphSuite: Suite = {
  name: 'graph',
  summary: 'reading, recognising and editing graphs, before a session exists',
  cases,
};
