/** attune eval --chat, from arguments to rows, on the testbed's language model. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { evalCommand, WORLD } from './eval.ts';

const root = mkdtempSync(join(tmpdir(), 'attune-eval-chat-'));
afterAll(() => rmSync(root, { recursive: true }));
const folder = fileURLToPath(new URL('../../testbed/models/worlds-lm', import.meta.url));

const records = ['red', 'blue', 'green', 'small'].map((word, i) => ({ word, gold: i % 2 }));
writeFileSync(join(root, 'data.jsonl'), records.map((record) => `${JSON.stringify(record)}\n`).join(''));
const common = { source: { file: 'data.jsonl' }, fields: { word: 'string', gold: 'integer' }, shots: 1 };
const prompt = 'Is the {{ word }} box new?';
const tasks = {
  choice: {
    output: 'multiple_choice',
    prompt,
    choices: ['no', 'yes'],
    target: '{{ gold }}',
    metrics: ['acc'],
  },
  written: {
    output: 'generate_until',
    prompt,
    target: 'yes',
    until: ['.'],
    maxTokens: 3,
    metrics: ['exact_match'],
  },
};
for (const [name, task] of Object.entries(tasks)) {
  writeFileSync(join(root, `${name}.json`), JSON.stringify({ name, ...common, ...task }));
}

interface Row {
  key: string;
  item: string;
  logLikelihoods: number[];
  text?: string;
}

async function rows(task: string, ...flags: string[]): Promise<Row[]> {
  const out = join(root, `${task}${flags.join('')}`);
  const argv = ['--model', folder, '--task', join(root, `${task}.json`), '--out', out, '--json', ...flags];
  const quiet = { write: () => undefined };
  await evalCommand(argv, { ...WORLD, stdout: quiet, stderr: quiet });
  const lines = readFileSync(join(out, 'rows.jsonl'), 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line));
}

test('a chat is another run: other keys, other numbers, and the report says so', async () => {
  const [plain, chat] = [await rows('choice'), await rows('choice', '--chat')];
  const system = await rows('choice', '--chat', '--system', 'Be brief.');
  const keys = [plain, chat, system].flatMap((run) => run.map(({ key }) => key));
  expect(new Set(keys).size).toBe(12);
  const numbers = [plain, chat, system].map((run) => run.map(({ logLikelihoods }) => logLikelihoods));
  expect(numbers[1]).not.toEqual(numbers[0]);
  expect(numbers[2]).not.toEqual(numbers[1]);
  const report = JSON.parse(readFileSync(join(root, 'choice--chat--systemBe brief.', 'report.json'), 'utf8'));
  expect(report.modelOptions.chat).toEqual({ system: 'Be brief.' });
  const page = readFileSync(join(root, 'choice--chat', 'report.html'), 'utf8');
  expect(page).toContain('by the model’s template');
});

test('answers are written after the chat', async () => {
  const [plain, chat] = [await rows('written'), await rows('written', '--chat')];
  expect(chat.map(({ item }) => item)).toEqual(plain.map(({ item }) => item));
  expect(chat.map(({ text }) => text)).not.toEqual(plain.map(({ text }) => text));
});

test('a system turn without a chat is refused', async () => {
  await expect(rows('choice', '--system', 'Be brief.')).rejects.toThrow(
    /ARGUMENT_INVALID.*--system without --chat/,
  );
});
