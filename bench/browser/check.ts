/**
 * attune in a real Chromium: the page is bundled without shims and gives Node's tokens, in the page and in a worker, on wasm and,
 * where its software adapter is sound, on WebGPU; nothing is written to the console. Run by .ci/browser; `.ci/browser --times` also measures decoding.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { ask, expectEqual } from './ask.ts';
import { bundleSizes } from './bundle-size.ts';
import { check, summary } from './checks.ts';
import { findChromium, launch } from './chromium.ts';
import { checkFiles } from './files-check.ts';
import { checkPlayground } from './playground-check.ts';
import { languageTokens, type Place, type Tokens, visionTokens } from './scenario.ts';
import { type CheckSite, checkSite } from './site.ts';

const MODELS = fileURLToPath(new URL('../../testbed/models', import.meta.url));
const HERE: Place = { languageModel: join(MODELS, 'worlds-lm'), visionModel: join(MODELS, 'worlds-vlm') };
const THERE: Place = { languageModel: 'worlds-lm', visionModel: 'worlds-vlm', device: 'wasm' };

async function checkWasm(browser: Browser, site: CheckSite, text: Tokens, picture: Tokens): Promise<void> {
  const methods = (tokens: Tokens) => Object.keys(tokens).join(', ');
  for (const where of ['inPage', 'inWorker'] as const) {
    const at = where === 'inPage' ? 'page' : 'worker';
    await check(`wasm, ${at}: Node's tokens for ${methods(text)}`, async () =>
      expectEqual(await ask(browser, site.origin, { where, name: 'languageTokens', given: [THERE] }), text),
    );
  }
  await check(`wasm, page: Node's tokens for ${methods(picture)}`, async () =>
    expectEqual(
      await ask(browser, site.origin, { where: 'inPage', name: 'visionTokens', given: [THERE] }),
      picture,
    ),
  );
}

/** A token may take this many times as long with an intervention. */
const DECODE_BOUND = 1.05;
const PAIRS = 9;

async function checkDecode(browser: Browser, site: CheckSite): Promise<void> {
  await check(`wasm: a decoded token with ZeroTuning within ${DECODE_BOUND} of the baseline`, async () => {
    const answer = await ask(browser, site.origin, {
      where: 'inPage',
      name: 'decodeTimes',
      given: [THERE, PAIRS],
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

/** Shaders in software take long. transformers.js alone has this long for a few tokens, attune so many times what that took. */
const SOFTWARE_PATIENCE = 60_000;
const PLAIN_TOKENS = 3;
const TIMES_PLAIN = 3;
const ON_SOFTWARE = ['baseline', 'ZeroTuning', 'ACT'];

const WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'];

async function checkWebgpu(path: string, site: CheckSite, text: Tokens): Promise<void> {
  await check(
    `WebGPU, page: Node's first tokens for ${ON_SOFTWARE.join(', ')} on the software adapter`,
    async () => {
      const browser = await launch(path, WEBGPU);
      try {
        const page = await browser.newPage();
        await page.goto(site.origin);
        const adapter = await page.evaluate('navigator.gpu?.requestAdapter().then((it) => it !== null)');
        await page.close();
        if (!adapter) return 'this Chromium has no WebGPU adapter, not even in software';
        const place: Place = { ...THERE, device: 'webgpu' };
        const begun = performance.now();
        const plain = await ask(browser, site.origin, {
          where: 'inPage',
          name: 'plainTokens',
          given: [place, PLAIN_TOKENS],
          patience: SOFTWARE_PATIENCE,
        });
        if (plain.error)
          return `transformers.js alone, without attune: ${plain.error} on the software adapter`;
        const answer = await ask(browser, site.origin, {
          where: 'inPage',
          name: 'languageTokens',
          given: [place, ON_SOFTWARE, PLAIN_TOKENS],
          patience: TIMES_PLAIN * (performance.now() - begun),
        });
        const first = ON_SOFTWARE.map((name) => [name, text[name]!.slice(0, PLAIN_TOKENS)] as const);
        return expectEqual(answer, Object.fromEntries(first));
      } finally {
        await browser.close();
      }
    },
  );
}

async function checkBundles(): Promise<void> {
  for (const { name, bytes, bound } of await bundleSizes()) {
    await check(`${name}: ${bytes} bytes gzip${bound ? ` of at most ${bound}` : ''}`, async () => {
      if (bound !== undefined && bytes > bound) throw new Error('too large');
      return undefined;
    });
  }
}

/** Threads of wasm need a page that is apart from other sites. */
async function checkThreads(browser: Browser, text: Tokens): Promise<void> {
  await using site = await checkSite(true);
  await check("wasm, 2 threads in a page apart from other sites: Node's tokens", async () => {
    const wish = { where: 'inPage', name: 'languageTokens', given: [THERE], threads: 2 } as const;
    const answer = await ask(browser, site.origin, wish);
    if (!answer.error && !answer.isolated) throw new Error('the page is not apart from others');
    return expectEqual(answer, text);
  });
}

/** What runs without flags; parts by name: --only wasm,files */
const PARTS = ['bundles', 'wasm', 'webgpu'] as const;
/** Written, and not yet seen to pass from end to end on a machine at rest: run by name alone. */
const BY_NAME = ['threads', 'files', 'playground'] as const;
const only = process.argv[process.argv.indexOf('--only') + 1]?.split(',');
const wanted = new Set<string>(process.argv.includes('--only') ? only : PARTS);
const left = BY_NAME.filter((part) => !wanted.has(part));
if (left.length > 0) console.log(`skipped: ${left.join(', ')}: run with --only ${left.join(',')}`);
// CI tests correctness, never time.
const times = process.argv.includes('--times');

if (wanted.has('bundles')) await checkBundles();
const found = findChromium();
if ('missing' in found) {
  console.log(`skipped: the checks in a browser: ${found.missing}`);
} else {
  const text = await languageTokens(HERE);
  await using site = await checkSite(false);
  await check('the page is bundled without a warning', async () => {
    if (site.warnings.length > 0) throw new Error(site.warnings.join('\n'));
    return undefined;
  });
  const browser = await launch(found.path);
  if (wanted.has('wasm')) await checkWasm(browser, site, text, await visionTokens(HERE));
  if (wanted.has('threads')) await checkThreads(browser, text);
  if (times) await checkDecode(browser, site);
  if (wanted.has('files')) await checkFiles(browser, site);
  if (wanted.has('playground')) await checkPlayground(browser, times);
  await browser.close();
  if (wanted.has('webgpu')) await checkWebgpu(found.path, site, text);
}
process.exit(summary() ? 0 : 1);
