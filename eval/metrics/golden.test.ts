/** CHAIR and POPE reproduce their reference vectors exactly: objects, counts, and every figure to the files' 12 digits. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { hasVerdict, readYesNo, YES_NO_METRICS, type YesNoParser } from '../answers/yes-no.ts';
import { CAPTION_METRICS, type CaptionScore, scoreCaption, truthOf } from '../captions/chair.ts';
import { Vocabulary, type VocabularyRules } from '../captions/vocabulary.ts';
import { type MetricName, termsOf } from './index.ts';
import type { Terms } from './metric.ts';

// biome-ignore lint/suspicious/noExplicitAny: the files' own layout, one for each method
const golden = (name: string): any[] =>
  JSON.parse(readFileSync(new URL(`../../testbed/golden/${name}.json`, import.meta.url), 'utf8'));

/** Σ numerators / Σ denominators; 0 of 0 is 0. */
function ratio(terms: readonly Terms[]): number {
  const [n, d] = terms.reduce<[number, number]>(([a, b], [c, e]) => [a + c, b + e], [0, 0]);
  return d === 0 ? 0 : n / d;
}
const yesNoTerms = (said: boolean | undefined, label: boolean) =>
  termsOf(YES_NO_METRICS, { yesNo: { said, label } }) as Record<MetricName, Terms>;
const captionTerms = (caption: CaptionScore) =>
  termsOf(CAPTION_METRICS, { caption }) as Record<MetricName, Terms>;
const rounded = (value: number): number => Number(value.toPrecision(12));

describe('CHAIR', () => {
  test.each(golden('chair').map((one) => [one.name, one] as const))(
    '%s',
    (_, { params, inputs, expected }) => {
      const rules: VocabularyRules = {
        rows: params.synonyms,
        phrases: params.double_words,
        lemmas: params.lemmas,
        besides: { seat: 'toilet' },
      };
      const vocabulary = new Vocabulary(rules);
      const scores = inputs.items.map((item: Record<string, string & string[]>, i: number) => {
        const truth = truthOf(item.gt_instances!, item.gt_captions!, vocabulary);
        const score = scoreCaption(item.caption!, truth, vocabulary);
        const wanted = expected.per_caption[i];
        expect([...truth].sort()).toEqual(wanted.gt);
        expect(score.mentions.map(({ object }) => object)).toEqual(wanted.mentioned);
        expect(score.hallucinated.map(({ word, object }) => [word, object])).toEqual(wanted.hallucinated);
        const { chair_s, chair_i } = captionTerms(score);
        expect([chair_s[0], rounded(ratio([chair_i]))]).toEqual([wanted.chair_s, wanted.chair_i]);
        return score;
      });
      const terms = scores.map(captionTerms) as ReturnType<typeof captionTerms>[];
      const of = (metric: keyof (typeof terms)[0]) => rounded(ratio(terms.map((one) => one[metric])));
      expect({
        captions: scores.length,
        mentions: terms.reduce((sum, { chair_i }) => sum + chair_i[1], 0),
        hallucinated_mentions: terms.reduce((sum, { chair_i }) => sum + chair_i[0], 0),
        CHAIR_S: of('chair_s'),
        CHAIR_I: of('chair_i'),
        recall: of('recall'),
        precision: of('precision'),
        F1: of('f1'),
        mean_tokens: rounded(ratio(scores.map(({ tokens }: { tokens: number }) => [tokens, 1]))),
      }).toEqual({ ...expected, per_caption: undefined });
    },
  );
});

describe('POPE', () => {
  test.each(golden('pope').map((one) => [one.name, one] as const))(
    '%s',
    (_, { params, inputs, expected }) => {
      const labels: boolean[] = inputs.labels.map((label: number) => label === 1);
      const said = inputs.answers.map((answer: string, i: number) =>
        readYesNo(answer, params.parser as YesNoParser, labels[i]!),
      );
      expect(said.map(Number)).toEqual(expected.pred);
      const terms = said.map((yes: boolean, i: number) => yesNoTerms(yes, labels[i]!)) as ReturnType<
        typeof yesNoTerms
      >[];
      const of = (metric: keyof (typeof terms)[0]) => rounded(ratio(terms.map((one) => one[metric])));
      expect({
        accuracy: of('acc'),
        precision: of('precision'),
        recall: of('recall'),
        F1: of('f1'),
        yes_ratio: of('yes_rate'),
      }).toEqual({
        accuracy: expected.accuracy,
        precision: expected.precision,
        recall: expected.recall,
        F1: expected.F1,
        yes_ratio: expected.yes_ratio,
      });
    },
  );

  test('our own reading says when an answer says neither', () => {
    const read = (answer: string) => readYesNo(answer, 'words', true);
    expect(
      ['Yes, it is.', 'No.', 'NO', "There isn't a cup.", 'There is not.', 'I know. Yes'].map(read),
    ).toEqual([true, false, false, false, false, true]);
    for (const answer of ['', 'Another one.', 'Absolutely', 'Nope, eyes']) {
      expect([read(answer), hasVerdict(answer)]).toEqual([undefined, false]);
    }
    expect(yesNoTerms(undefined, true)).toMatchObject({
      acc: [0, 1],
      precision: [0, 0],
      recall: [0, 1],
      yes_rate: [0, 1],
    });
  });
});
