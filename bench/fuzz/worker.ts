/**
 * Probes mutants in a process of its own, for what may end it: `worker.ts <first seed> <count> <graph|run>`. Writes a line of JSON
 * before each stage and after each mutant, at once, so that the reader knows where a process died.
 */
import { writeSync } from 'node:fs';
import { loadRuntime } from '../../hooks/session/index.ts';
import '../../interventions/index.ts';
import { mutant } from './mutant.ts';
import { probe } from './probe.ts';

const [from, count] = process.argv.slice(2, 4).map(Number) as [number, number];
const runtime = process.argv[4] === 'run' ? await loadRuntime('node') : undefined;
const say = (line: object) => writeSync(1, `${JSON.stringify(line)}\n`);

for (let seed = from; seed < from + count; seed++) {
  const { bytes, file, mutations } = mutant(seed);
  say({ seed, file, mutations });
  const start = performance.now();
  const probed = await probe(bytes, runtime, (stage) => say({ stage }));
  say({ done: seed, ms: performance.now() - start, ...probed });
}
