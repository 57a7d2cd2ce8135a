/** What was found behind the results on pictures, as Markdown. */
import { wilsonInterval } from '../../eval/statistics/wilson.ts';
import type { Inside } from './evidence-inside.ts';
import type { Share } from './evidence-rows.ts';
import { table } from './tables.ts';

export interface Evidence {
  readonly existence: Readonly<Record<string, Readonly<Record<string, Share>>>>;
  readonly captions: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly inside: Inside;
}

const percent = (x: number, digits = 1): string => (100 * x).toFixed(digits);

function share(one: Share | undefined): string {
  if (!one || one.n === 0) return '';
  const { low, high } = wilsonInterval(one.count, one.n);
  return `${percent(one.count / one.n)} [${percent(low)}, ${percent(high)}]`;
}

const RELATIONS = ['present', 'inseparable', 'usual', 'other'] as const;

const existenceTable = (existence: Evidence['existence']): string =>
  table(
    [
      'says yes, %',
      'it is there',
      'missing companion, inseparable pair',
      'missing companion, other pair',
      'any other absent kind',
    ],
    Object.entries(existence).map(([method, shares]) => [
      method,
      ...RELATIONS.map((relation) => share(shares[relation])),
    ]),
  );

const captionTable = (captions: Evidence['captions']): string =>
  table(
    [
      'per 100 captions',
      'companions of inseparable pairs imagined',
      'of other pairs',
      'other kinds',
      'kinds there and named, %',
    ],
    Object.entries(captions).map(([method, sums]) => {
      const { captions: n, inseparable, usual, other, named, present } = sums as Record<string, number>;
      const each = (count: number) => ((100 * count) / n!).toFixed(1);
      return [method, each(inseparable!), each(usual!), each(other!), percent(named! / present!)];
    }),
  );

const layerTable = ({ var: sinks, vhr, picture }: Inside): string =>
  table(
    [
      'layer',
      'image tokens that VAR takes for sinks, %',
      'a row’s weight on sinks, %',
      'rows and heads selected, %',
      'weight moved there, %',
      'heads VHR reinforces, % of prompts',
      ...Object.keys(picture).map((name) => `last row on picture, ${name}, %`),
    ],
    sinks.map((one, layer) => [
      `${layer}`,
      percent(one.visualSinks),
      percent(one.onSinks),
      percent(one.selected),
      percent(one.movedWhereSelected, 2),
      vhr[layer]!.map((frequency) => percent(frequency, 0)).join(' '),
      ...Object.values(picture).map((masses) => percent(masses[layer]!)),
    ]),
  );

export const evidenceText = ({ existence, captions, inside }: Evidence): string =>
  [
    'Existence, questions of the three sets of negatives, each once:',
    existenceTable(existence),
    'Captions:',
    captionTable(captions),
    `Inside the untouched model, ${inside.captions} captions:`,
    layerTable(inside),
  ].join('\n\n');
