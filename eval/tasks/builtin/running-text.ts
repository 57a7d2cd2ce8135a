/**
 * Perplexity of running text: WikiText-2 (Merity et al., 2017) and Tiny Shakespeare, cut into blocks of lines, each
 * scored from its own beginning, so that there are samples to take an interval over. The streams are a few pieces of tens of
 * thousands of tokens, each read through to its end by windows of the model's length.
 */
import { defineTask } from '../definition.ts';

const runningText = (name: string, file: string, blockLines: number) =>
  defineTask({
    name,
    output: 'loglikelihood_rolling',
    source: { file, format: 'document', blockLines },
    fields: { text: 'string' },
    target: '{{ text }}',
    metrics: ['word_perplexity', 'byte_perplexity', 'bits_per_byte'],
  });

export const wikitext2 = runningText('wikitext2', 'wikitext2/wikitext2_train_5k.txt', 20);
export const tinyshakespeare = runningText('tinyshakespeare', 'tinyshakespeare/input.txt', 200);
export const wikitext2Stream = runningText('wikitext2-stream', 'wikitext2/wikitext2_train_5k.txt', 100);
export const tinyshakespeareStream = runningText('tinyshakespeare-stream', 'tinyshakespeare/input.txt', 4000);
