/** Asking the page of the check (page.ts) for one thing, in a page of its own. */
import type { Browser, BrowserContext, Page } from 'playwright-core';
import type { WorkName } from './page.ts';
import type { Tokens } from './scenario.ts';

/** A page may take this long for one thing, on a busy machine. */
export const PATIENCE = 600_000;

export interface Asked {
  readonly where: 'inPage' | 'inWorker';
  readonly name: WorkName;
  /** Of the function that is named. */
  readonly given: readonly unknown[];
  /** Of wasm. */
  readonly threads?: number;
  /** Milliseconds. */
  readonly patience?: number;
}

export interface Answer {
  readonly result?: unknown;
  readonly error?: string;
  /** Whether the page is apart from other sites. */
  readonly isolated?: boolean;
  /** What the page or its runtime wrote: errors and warnings. */
  readonly written: readonly string[];
}

/** What a page writes from now on: errors and warnings. */
export function writtenBy(page: Page): readonly string[] {
  const written: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) written.push(message.text());
  });
  page.on('pageerror', (error) => written.push(error.message));
  return written;
}

/** The page of the check, open, to be asked for several things: what it has compiled once stays. */
export class AskedPage implements AsyncDisposable {
  readonly #page: Page;
  readonly #origin: string;
  readonly #written: readonly string[];
  #seen = 0;

  private constructor(page: Page, origin: string) {
    this.#page = page;
    this.#origin = origin;
    this.#written = writtenBy(page);
  }

  /** @param browser or a context, whose storage is kept from page to page */
  static async open(browser: Browser | BrowserContext, origin: string): Promise<AskedPage> {
    const page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE);
    const asked = new AskedPage(page, origin);
    await page.goto(origin);
    return asked;
  }

  async ask({ where, patience = PATIENCE, ...rest }: Asked): Promise<Answer> {
    await this.#page.waitForFunction(`'${where}' in globalThis`);
    const asked = JSON.stringify({ ...rest, origin: this.#origin });
    const working = this.#page.evaluate(`globalThis.${where}(${asked})`) as Promise<Omit<Answer, 'written'>>;
    const answer = await inTime(working, patience);
    const written = this.#written.slice(this.#seen);
    this.#seen = this.#written.length;
    return { ...answer, written };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#page.close();
  }
}

/** In a page of its own. */
export async function ask(browser: Browser | BrowserContext, origin: string, asked: Asked): Promise<Answer> {
  await using page = await AskedPage.open(browser, origin);
  return await page.ask(asked);
}

/** Said of a page that is given up. */
export const NO_ANSWER = 'no answer in';

async function inTime<T>(work: Promise<T>, patience: number): Promise<T | { readonly error: string }> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<{ readonly error: string }>((resolve) => {
    timer = setTimeout(() => resolve({ error: `${NO_ANSWER} ${patience / 1000} s` }), patience);
  });
  // A page that is closed rejects what it was asked.
  work.catch(() => undefined);
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** @throws Error with what differs, and with what stands on the console */
export function expectEqual({ result, error, written }: Answer, expected: Tokens): undefined {
  if (error) throw new Error(error);
  const found = result as Tokens;
  const wrong = Object.keys(expected).filter((name) => `${found[name]}` !== `${expected[name]}`);
  if (wrong.length > 0) {
    const lines = wrong.map((name) => `${name}: ${found[name]} instead of ${expected[name]}`);
    throw new Error(lines.join('\n'));
  }
  expectQuiet(written);
}

/** @throws Error with the first of what was written */
export function expectQuiet(written: readonly string[]): undefined {
  if (written.length === 0) return;
  throw new Error(`on the console:\n${[...new Set(written)].slice(0, 5).join('\n')}`);
}
