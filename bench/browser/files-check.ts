/** Models from every place that a page may have them from, and what is said where that goes wrong. */
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { AutoModelForCausalLM, AutoTokenizer, type Tensor } from '@huggingface/transformers';
import type { Browser } from 'playwright-core';
import { attune, zeroTuning } from '../../index.ts';
import { AskedPage, ask, expectEqual, expectQuiet } from './ask.ts';
import { check } from './checks.ts';
import { FAULTS, SOURCES, type Source } from './files.ts';
import { makeHub } from './hub.ts';
import { PROMPT, type Tokens } from './scenario.ts';
import { serve } from './serve.ts';
import { type CheckSite, scratch } from './site.ts';

const MODEL = fileURLToPath(new URL('../../testbed/models/worlds-lm', import.meta.url));

/** Eight tokens of the baseline, then eight under ZeroTuning, as Node writes them. */
async function nodeTokens(options: object = {}): Promise<number[]> {
  const tokenizer = await AutoTokenizer.from_pretrained(MODEL);
  const model = await attune(AutoModelForCausalLM, MODEL, { dtype: 'fp32', ...options });
  const tokens: number[] = [];
  for (const interventions of [[], [zeroTuning({ gamma: 20 })]]) {
    const output = (await model.generate({
      ...(tokenizer(PROMPT) as object),
      max_new_tokens: 8,
      do_sample: false,
      eos_token_id: -1,
      interventions,
    } as never)) as unknown as Tensor;
    tokens.push(...(output.tolist() as bigint[][])[0]!.slice(-8).map(Number));
  }
  await model.dispose();
  return tokens;
}

export async function checkFiles(browser: Browser, { origin }: CheckSite): Promise<void> {
  const root = scratch();
  makeHub(root);
  await using hub = await serve({ '': root }, { open: true });
  await using closed = await serve({ '': root });
  await using whole = await serve({ '': root }, { open: true, ranges: false });
  const usual = await nodeTokens();
  const others: Tokens = {
    'single file': await nodeTokens({ model_file_name: 'model_gqa', dtype: 'q4' }),
    'data file of another form': await nodeTokens({ model_file_name: 'model_gqa' }),
  };
  const where = 'inPage' as const;
  const checkSource = (name: Source, from: string, page: AskedPage, more = '') =>
    check(`files, ${name}${more}`, async () => {
      const { written, ...answer } = await page.ask({ where, name: 'sourceTokens', given: [from, name] });
      // transformers.js and the browser say what is not found where the network is cut off.
      const ours = written.filter((text) => !/Failed to (fetch|load)|Unable to load from local/.test(text));
      return expectEqual({ ...answer, written: ours }, { [name]: others[name] ?? usual });
    });
  await using page = await AskedPage.open(browser, origin);
  for (const name of SOURCES) await checkSource(name, hub.origin, page);
  await checkSource('Hub id', whole.origin, page, ', from a server without ranges');
  await check(`what goes wrong is said: ${Object.keys(FAULTS).join('; ')}`, async () => {
    const given = [hub.origin, closed.origin];
    const { result, error } = await page.ask({ where, name: 'faultCodes', given });
    return expectEqual({ result, ...(error && { error }), written: [] } as never, FAULTS as never);
  });
  await check('a page that is closed while a file is kept leaves nothing of it', async () => {
    const context = await browser.newContext();
    const begun = await ask(context, origin, { where, name: 'beginKeeping', given: [], patience: 3000 });
    if (!begun.error?.startsWith('no answer')) throw new Error(`the file was not cut off: ${begun.error}`);
    const { result, error, written } = await ask(context, origin, { where, name: 'whatIsKept', given: [] });
    await context.close();
    if (result !== 'nothing') throw new Error(error ?? `${result} of it is there`);
    return expectQuiet(written);
  });
  rmSync(root, { recursive: true });
}
