/** A Chromium to run pages in: the system's, driven by playwright-core, which brings none. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/**
 * The path of one, installed with apt-get where there is none.
 * @returns why there is none, as `missing`
 */
export function findChromium(): { readonly path: string } | { readonly missing: string } {
  const places = [...(process.env.CHROMIUM ? [process.env.CHROMIUM] : []), ...PLACES];
  const found = () => places.find((path) => existsSync(path));
  const path = found();
  if (path !== undefined) return { path };
  try {
    const quiet = { stdio: 'ignore', timeout: 300_000 } as const;
    execFileSync('apt-get', ['update'], quiet);
    execFileSync('apt-get', ['install', '--yes', '--no-install-recommends', 'chromium'], quiet);
  } catch (error) {
    return { missing: `no Chromium, and apt-get has none to give: ${(error as Error).message}` };
  }
  const installed = found();
  return installed === undefined ? { missing: 'apt-get installed no Chromium' } : { path: installed };
}

export function launch(executablePath: string, flags: readonly string[] = []): Promise<Browser> {
  return chromium.launch({
    executablePath,
    headless: true,
    args: ['--no-sandbox', '--disable-gpu-sandbox', ...flags],
  });
}
