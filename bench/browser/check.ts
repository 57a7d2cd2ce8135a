/**
 * attune in a real Chromium: the page is bundled without shims and gives Node's tokens, in the page and in a worker, on wasm and,
 * where its software adapter is sound, on WebGPU; nothing is written to the console. Run by .ci/browser; `.ci/browser --times` also measures decoding.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { bundleSizes } from './bundle-size.ts';
import { findChromium, launch } from './chromium.ts';
import type { WorkName } from './page.ts';
import { languageTokens, type Place, type Tokens, visionTokens } from './scenario.ts';
import { type CheckSite, checkSite } from './site.ts';

const MODELS = fileURLToPath(new URL('../../testbed/models', import.meta.url));
const HERE: Place = { languageModel: join(MODELS, 'worlds-lm'), visionModel: join(MODELS, 'worlds-vlm') };
const THERE: Place = { languageModel: 'worlds-lm', visionModel: 'worlds-vlm', device: 'wasm' };

/** A page may take this long for one thing, on a busy machine. */
const PATIENCE = 600_000;

let failed = 0;
let passed = 0;

/** @param work returns why it was not done, or nothing */
async function check(name: string, work: () => Promise<string | undefined>): Promise<void> {
  const begun = performance.now();
  const line = (word: string, rest = '') => console.log(`  ${word.padEnd(8)}${name}${rest}`);
  try {
    const reason = await work();
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    if (reason === undefined) {
      passed++;
      line('ok', ` (${seconds} s)`);
    } else {
      line('skipped', `: ${reason}`);
    }
  } catch (error) {
    failed++;
    line('FAILED', `\n${(error as Error).message}`);
  }
}

interface Answer {
  readonly result?: unknown;
  readonly error?: string;
  /** What the page or its runtime wrote: errors and warnings. */
  readonly written: readonly string[];
}

/** One thing done in a fresh page. */
async function asked(
  browser: Browser,
  { origin }: CheckSite,
  { where, name, place, pairs = 0, patience = PATIENCE }: Asked,
): Promise<Answer> {
  const page = await browser.newPage();
  const written: string[] = [];
  page.setDefaultTimeout(PATIENCE);
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) written.push(message.text());
  });
  page.on('pageerror', (error) => written.push(error.message));
  try {
    await page.goto(origin);
    await page.waitForFunction(`'${where}' in globalThis`);
    const asked = JSON.stringify({ name, place, pairs, origin });
    const working = page.evaluate(`globalThis.${where}(${asked})`) as Promise<Omit<Answer, 'written'>>;
    return { ...(await inTime(working, patience)), written };
  } finally {
    await page.close();
  }
}

/** Said by a page that is given up. */
const NO_ANSWER = 'no answer in';

async function inTime<T>(work: Promise<T>, patience: number): Promise<T | { readonly error: string }> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<{ readonly error: string }>((resolve) => {
    timer = setTimeout(() => resolve({ error: `${NO_ANSWER} ${patience / 1000} s` }), patience);
  });
  // A page that is closed rejects what it was asked.
  work.catch(() => undefined);
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

interface Asked {
  readonly where: 'inPage' | 'inWorker';
  readonly name: WorkName;
  readonly place: Place;
  readonly pairs?: number;
  /** Milliseconds. */
  readonly patience?: number;
}

function expectEqual({ result, error, written }: Answer, expected: Tokens): undefined {
  if (error) throw new Error(error);
  const found = result as Tokens;
  const wrong = Object.keys(expected).filter((name) => `${found[name]}` !== `${expected[name]}`);
  if (wrong.length > 0) {
    const lines = wrong.map((name) => `${name}: ${found[name]} instead of ${expected[name]}`);
    throw new Error(lines.join('\n'));
  }
  if (written.length > 0) throw new Error(`on the console:\n${[...new Set(written)].slice(0, 5).join('\n')}`);
}

async function checkWasm(browser: Browser, site: CheckSite, text: Tokens, picture: Tokens): Promise<void> {
  const methods = (tokens: Tokens) => Object.keys(tokens).join(', ');
  for (const where of ['inPage', 'inWorker'] as const) {
    const at = where === 'inPage' ? 'page' : 'worker';
    await check(`wasm, ${at}: Node's tokens for ${methods(text)}`, async () =>
      expectEqual(await asked(browser, site, { where, name: 'languageTokens', place: THERE }), text),
    );
  }
  await check(`wasm, page: Node's tokens for ${methods(picture)}`, async () =>
    expectEqual(await asked(browser, site, { where: 'inPage', name: 'visionTokens', place: THERE }), picture),
  );
}

/** A token may take this many times as long with an intervention. */
const DECODE_BOUND = 1.05;
const PAIRS = 9;

async function checkDecode(browser: Browser, site: CheckSite): Promise<void> {
  await check(`wasm: a decoded token with ZeroTuning within ${DECODE_BOUND} of the baseline`, async () => {
    const answer = await asked(browser, site, {
      where: 'inPage',
      name: 'decodeTimes',
      place: THERE,
      pairs: PAIRS,
    });
    if (answer.error) throw new Error(answer.error);
    const { baseline, intervened } = answer.result as Record<'baseline' | 'intervened', number[]>;
    const ratio = median(intervened.map((time, i) => time / baseline[i]!));
    console.log(
      `          ${median(baseline).toFixed(2)} ms a token, ${median(intervened).toFixed(2)} ms with it, ratio ${ratio.toFixed(3)}`,
    );
    if (ratio > DECODE_BOUND) throw new Error(`ratio ${ratio.toFixed(3)}`);
    return undefined;
  });
}

const median = (numbers: readonly number[]): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!;

/** Shaders in software take long; that is no fault of what is tested. */
const SOFTWARE_PATIENCE = 30_000;

const WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'];

async function checkWebgpu(path: string, site: CheckSite, text: Tokens): Promise<void> {
  await check("WebGPU, page: Node's tokens on the software adapter", async () => {
    const browser = await launch(path, WEBGPU);
    try {
      const page = await browser.newPage();
      await page.goto(site.origin);
      const adapter = await page.evaluate('navigator.gpu?.requestAdapter().then((it) => it !== null)');
      await page.close();
      if (!adapter) return 'this Chromium has no WebGPU adapter, not even in software';
      const place: Place = { ...THERE, device: 'webgpu' };
      const wish = { where: 'inPage', name: 'languageTokens', place, patience: SOFTWARE_PATIENCE } as const;
      const answer = await asked(browser, site, wish);
      if (answer.error?.startsWith(NO_ANSWER)) return `the software adapter gives ${answer.error}`;
      return expectEqual(answer, text);
    } finally {
      await browser.close();
    }
  });
}

async function checkBundles(): Promise<void> {
  for (const { name, bytes, bound } of await bundleSizes()) {
    await check(`${name}: ${bytes} bytes gzip${bound ? ` of at most ${bound}` : ''}`, async () => {
      if (bound !== undefined && bytes > bound) throw new Error('too large');
      return undefined;
    });
  }
}

await checkBundles();
const found = findChromium();
if ('missing' in found) {
  console.log(`skipped: the checks in a browser: ${found.missing}`);
} else {
  const text = await languageTokens(HERE);
  const picture = await visionTokens(HERE);
  await using site = await checkSite(false);
  await check('the page is bundled without a warning', async () => {
    if (site.warnings.length > 0) throw new Error(site.warnings.join('\n'));
    return undefined;
  });
  const browser = await launch(found.path);
  await checkWasm(browser, site, text, picture);
  // CI tests correctness, never time.
  if (process.argv.includes('--times')) await checkDecode(browser, site);
  await browser.close();
  await checkWebgpu(found.path, site, text);
}
console.log(`browser: ${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
