/** Peak memory of one expanded call at T = 8,192 with 32 heads, in a process of its own: prints bytes above the inputs. */
import { readFileSync } from 'node:fs';
import { createRunner } from '../../kernels/verify/runner.ts';
import { compiled, factsOf, feedsOf, SHAPES } from './model.ts';

const call = { S: 8192, past: 0 };
const facts = await factsOf(SHAPES[0]!, 1);
const edits = facts.decoder.map((site) => ({ kind: 'expand', site, edits: [], values: () => ({}) }) as const);
const feeds = feedsOf(SHAPES[0]!, call, 1);
const site = compiled(facts, { plan: { edits }, values: {} }, { ep: 'cpu', feeds, past: 0 });
await using runner = await createRunner('cpu', { threads: 0 });
const run = await runner.prepare(site.model, site.feeds);
const before = highWater();
await run();
console.log(highWater() - before);

/** Linux: the process's largest resident size so far, in bytes. */
function highWater(): number {
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}
