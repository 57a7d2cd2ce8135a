/** Our own reading of yes and no; those of the papers are compared with their scripts in metrics/golden.test.ts. */
import { expect, test } from 'vitest';
import { hasVerdict, readYesNo, YES_NO_PARSERS } from './yes-no.ts';

const read = (answer: string) => readYesNo(answer, 'words', true);

test.each([
  "I'm not sure.",
  'I’m not really sure',
  "I don't know",
  'I do not know whether there is no dog.',
  'It is not clear whether there is one',
  'It isn’t clear if there is or is not a dog',
  'I cannot tell',
  "I can't say yes or no.",
  'It cannot be determined from the picture, unfortunately.',
  'Unable to determine if there is no cup',
  'It is hard to tell.',
  'It is not possible to say.',
  'There is not enough information.',
  'No idea.',
  'There is no way to know',
  'Yes or no? Whether or not it is there…',
  'Maybe.',
])('an abstention is neither yes nor no: %j', (answer) => {
  expect([read(answer), hasVerdict(answer)]).toEqual([undefined, false]);
});

test.each([
  ["I'm not sure, but yes.", true],
  ['I am not sure but I think yes', true],
  ["I don't know. No.", false],
  ['Yes, but I am not sure about its colour.', true],
  ["No, I don't know of one.", false],
  ['I am not sure; there is no dog that I could see.', false],
  ['I cannot see a dog.', false],
  ["I can't see a dog.", false],
  ["There isn't a dog", false],
  ['There is no evidence of a dog.', false],
  ['I know. Yes', true],
])('an answer that decides all the same is read: %j', (answer, said) => {
  expect([read(answer), hasVerdict(answer)]).toEqual([said, true]);
});

test('the readings of the papers stay as their scripts have them', () => {
  const readings = YES_NO_PARSERS.filter((parser) => parser !== 'words').map((parser) =>
    readYesNo("I don't know", parser, false),
  );
  expect(readings).toEqual([true, false, false]);
});

test('long answers are read in time', () => {
  const begin = process.cpuUsage().user;
  expect(read(`${'not quite '.repeat(20_000)}able`)).toBe(false);
  expect(process.cpuUsage().user - begin).toBeLessThan(2e6);
});
