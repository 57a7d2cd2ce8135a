/** The playground as it is built: it loads, knobs change the text, figures are kept, anyone can use it, nothing is on the console. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import axe from 'axe-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { build } from 'vite';
import { expectQuiet, PATIENCE, writtenBy } from './ask.ts';
import { check } from './checks.ts';
import { serve } from './serve.ts';
import { scratch } from './site.ts';

const PLAYGROUND = fileURLToPath(new URL('../../examples/playground', import.meta.url));
/** Milliseconds, from a warm cache. */
const FIRST_TOKEN = 5000;

const DESKTOP: BrowserContextOptions = { viewport: { width: 1280, height: 900 } };
const PHONE: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  colorScheme: 'dark',
  hasTouch: true,
};

export async function checkPlayground(browser: Browser, times: boolean): Promise<void> {
  const folder = scratch();
  await build({
    configFile: join(PLAYGROUND, 'vite.config.ts'),
    logLevel: 'error',
    build: { outDir: folder, emptyOutDir: false },
  });
  await using site = await serve({ '': folder });
  const context = await browser.newContext(DESKTOP);
  const page = await context.newPage();
  const written = writtenBy(page);
  await check('playground: it writes without and with a method, and shows every head', () =>
    begins(page, site.origin),
  );
  await check('playground: a knob changes the text, and the link gives it back', async () => {
    const text = await turned(page);
    const other = await context.newPage();
    await opened(other, page.url());
    if ((await other.textContent('#intervened')) !== text) throw new Error('the link gives another text');
    const first = Number(await other.evaluate('globalThis.playground.firstToken'));
    await other.close();
    console.log(`          first token after ${(first / 1000).toFixed(1)} s from a warm cache`);
    if (times && first > FIRST_TOKEN) throw new Error(`${Math.round(first)} ms of at most ${FIRST_TOKEN}`);
    return undefined;
  });
  await check('playground: figures are kept as SVG and PNG', () => kept(page, 'attention', 100));
  await check('playground: no serious fault for those who cannot see or point', () => usable(page));
  await check('playground: documents change places by keyboard; the answer by their order', () =>
    reordered(page),
  );
  await context.close();
  const phone = await browser.newContext(PHONE);
  const small = await phone.newPage();
  const also = writtenBy(small);
  await check('playground: a picture with attention over its patches, on a phone in the dark', () =>
    seen(small, site.origin),
  );
  await phone.close();
  await check('playground: nothing on the console', async () => expectQuiet([...written, ...also]));
  rmSync(folder, { recursive: true });
}

/** Until what was asked last is there. @throws Error with what the page says instead */
async function settled(page: Page): Promise<void> {
  await page.waitForFunction(
    `/^Done/.test(document.querySelector('#status').textContent) || document.querySelector('#problem').textContent.trim()`,
  );
  const problem = (await page.textContent('#problem'))?.trim();
  if (problem) throw new Error(problem);
}

async function opened(page: Page, address: string): Promise<void> {
  page.setDefaultTimeout(PATIENCE);
  await page.goto(address);
  await settled(page);
}

/** Something is done, and what comes of it awaited: the page says first that it is at work. */
async function after(page: Page, act: () => Promise<unknown>): Promise<void> {
  await act();
  await page.waitForFunction(`!/^Done/.test(document.querySelector('#status').textContent)`);
  await settled(page);
}

async function begins(page: Page, origin: string): Promise<undefined> {
  await opened(page, origin);
  for (const side of ['#baseline', '#intervened']) {
    if (!(await page.textContent(side))?.trim()) throw new Error(`nothing in ${side}`);
  }
  const heads = await page.locator('.tv-grid button').count();
  const expected = Number(
    await page.evaluate('globalThis.playground.model.layers * (globalThis.playground.model.heads + 1)'),
  );
  if (heads === 0 || heads !== expected) throw new Error(`${heads} maps of heads instead of ${expected}`);
  return undefined;
}

/** @returns the text under the knob as it was turned */
async function turned(page: Page): Promise<string> {
  const before = await page.textContent('#intervened');
  await after(page, () => page.fill('#knob-gamma', '10'));
  await after(page, () => page.fill('.slider [type=number]', '40').then(() => page.keyboard.press('Tab')));
  const text = await page.textContent('#intervened');
  if (text === before || !text) throw new Error(`as before: ${text}`);
  return text;
}

/** @param shapes that the figure has at least */
async function kept(page: Page, name: string, shapes: number): Promise<undefined> {
  const file = async (ending: string): Promise<Buffer> => {
    const [download] = await Promise.all([page.waitForEvent('download'), page.click(`#${name}-${ending}`)]);
    return readFileSync(await download.path());
  };
  const svg = (await file('svg')).toString();
  if (!svg.startsWith('<svg') || (svg.match(/<rect/g) ?? []).length < shapes)
    throw new Error(svg.slice(0, 200));
  const png = await file('png');
  if (png.subarray(1, 4).toString() !== 'PNG' || png.length < 5000) throw new Error(`${png.length} bytes`);
  return undefined;
}

interface Fault {
  readonly id: string;
  readonly impact?: string | null;
  readonly nodes: readonly { readonly html: string }[];
}

async function usable(page: Page): Promise<undefined> {
  await page.evaluate(axe.source);
  const { violations } = (await page.evaluate('globalThis.axe.run()')) as {
    readonly violations: readonly Fault[];
  };
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  if (serious.length === 0) return undefined;
  throw new Error(
    serious.map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 160)} (${nodes.length})`).join('\n'),
  );
}

async function reordered(page: Page): Promise<undefined> {
  await after(page, () => page.click('#tab-documents'));
  await usable(page);
  const second = await page.inputValue('#document-1');
  await after(page, () => page.press('#document-1', 'Alt+ArrowUp'));
  if ((await page.inputValue('#document-0')) !== second) throw new Error('the document stays where it was');
  const rows = (await page.evaluate('globalThis.playground.orders')) as readonly {
    baseline: number;
    intervened: number;
  }[];
  const spread = (side: 'baseline' | 'intervened') => {
    const all = rows.map((row) => row[side]);
    return Math.max(...all) - Math.min(...all);
  };
  if (rows.length !== 6 || spread('baseline') < 0.1)
    throw new Error(`orders do not matter: ${JSON.stringify(rows)}`);
  if (spread('intervened') > 1e-3) throw new Error(`orders matter under PINE: ${JSON.stringify(rows)}`);
  return kept(page, 'orders', rows.length);
}

async function seen(page: Page, origin: string): Promise<undefined> {
  await opened(page, origin);
  await after(page, () => page.click('#tab-picture'));
  await usable(page);
  const images = await page.locator('#patches image').count();
  if (images !== 2) throw new Error(`${images} pictures instead of 2`);
  const width = Number(await page.evaluate('document.documentElement.scrollWidth'));
  if (width > 390) throw new Error(`the page is ${width} pixels wide`);
  return undefined;
}
