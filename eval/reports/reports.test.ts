/** The page, its figures and the Markdown: what they must contain, and that nothing of the data is taken for markup. */
import { describe, expect, test } from 'vitest';
import { costsOf } from '../runner/costs.ts';
import { checkGate, parseGate } from '../runner/gate.ts';
import { reportRuns } from '../runner/report.ts';
import { forty, rowsOf } from '../testing/rows.ts';
import { changesOf } from './changes.ts';
import { curvePlot } from './curve-plot.ts';
import type { ReadableReport } from './document.ts';
import { intervalPlot } from './interval-plot.ts';
import { reportMarkdown } from './markdown.ts';
import { html } from './markup.ts';
import { reportPage } from './page.ts';
import { linearScale } from './scale.ts';

const options = { seed: 0, resamples: 500 };
const hostile = '<script>alert("&")</script>';

function readable(change: (set: ReturnType<typeof rowsOf>) => void = () => {}): ReadableReport {
  const set = rowsOf(forty);
  set.task.items = forty.map((_, i) => ({
    id: `${i}`,
    at: `x.jsonl:${i + 1}`,
    output: 'multiple_choice',
    gold: 0,
    options: ['a', 'b'].map((text) => ({
      context: `${hostile} number ${i}`,
      continuation: ` ${text}`,
      text,
    })),
  }));
  change(set);
  return {
    document: {
      software: { attune: '0.0.0' },
      models: [{ name: 'm', fingerprint: 'f00d' }],
      modelOptions: {},
      options: { ...options, skipBad: false, level: 0.95 },
      tasks: [
        {
          name: 't',
          split: 'test',
          definition: 'd0',
          files: [{ file: 'x.jsonl', sha256: '5a5a' }],
          records: 40,
          items: 40,
          bad: [],
        },
      ],
      runs: reportRuns(set, options),
    },
    costs: costsOf(set, 0),
    gates: [checkGate(parseGate('acc>=0.6'), [set], options)],
    sets: [set],
    command: "attune eval --params '{}'",
  };
}

describe('head maps', () => {
  const maps = (value: number) => [
    {
      name: 'zerotuning.log_gamma',
      rows: [
        [value, 0],
        [0, -value],
      ],
      neutral: 0,
    },
    {
      name: 'entropy of rows (nats)',
      rows: [
        [1, 2],
        [3, 4 + value],
      ],
    },
  ];
  const report = readable();
  report.document.heads = [
    { model: 'm', intervention: 'baseline', prompts: 8, maps: maps(0).slice(1) },
    { model: 'm', intervention: 'one', prompts: 8, maps: maps(1) },
  ];
  const page = reportPage(report);
  const fill = (title: string, of = page) =>
    new RegExp(`${title}</title><rect[^>]* fill="(#\\w+)"`).exec(of)?.[1];

  test('settings side by side on one scale, each head with its value', () => {
    const [, heads = ''] = /<h2>Heads<\/h2>(.*)<h2>Items that changed/s.exec(page)!;
    expect(heads).toContain('Measured on 8 prompts');
    expect(heads.match(/<h3>[^<]*<\/h3>/g)).toEqual([
      '<h3>entropy of rows (nats)</h3>',
      '<h3>zerotuning.log_gamma</h3>',
    ]);
    expect(heads.match(/<figcaption>[^<]*/g)).toEqual(
      ['baseline', 'one', 'one'].map((name) => `<figcaption>${name}`),
    );
    // Both maps of entropy have one scale: its end is the largest value of either.
    expect(heads.match(/scale of entropy of rows \(nats\): 0 to 5\.00"/g)).toHaveLength(1);
    expect(fill('layer 1, head 1: 5.000')).toBe('#fee838');
    expect(fill('layer 1, head 1: 4.000')).not.toBe('#fee838');
  });

  test('of a parameter the neutral value is blank and either side has its colour', () => {
    const [, parameter = ''] = page.split('<h3>zerotuning.log_gamma</h3>');
    expect(fill('layer 0, head 0: 1.000', parameter)).toBe('#7f4a08');
    expect(fill('layer 1, head 0: 0.000', parameter)).toBe('#f7f7f5');
    expect(fill('layer 1, head 1: −1.000', parameter)).toBe('#0b4a8f');
    expect(parameter).toContain('−1.00 to 1.00"');
    expect(parameter).toContain('white at 0<');
  });
});

describe('the page', () => {
  const page = reportPage(readable());

  test('needs nothing from outside, and takes no data for markup', () => {
    expect(page).not.toMatch(/(?:src|href)=|@import|url\(|https?:/);
    expect(page).not.toContain(hostile);
    expect(page).toContain('&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt; number 39');
  });

  test('every tag that is opened is closed', () => {
    const open: string[] = [];
    for (const [tag, close, name] of page.matchAll(/<(\/?)([a-z0-9]+)\b[^>]*?>/g)) {
      if (tag.endsWith('/>') || ['meta', 'input', 'br'].includes(name!)) continue;
      if (close) expect(open.pop()).toBe(name);
      else open.push(name!);
    }
    expect(open).toEqual([]);
  });

  test('has the numbers of the report, its hashes, and the gate that was missed', () => {
    expect(page).toContain('72.5 <span class="soft">[57.2 … 83.9]</span>');
    expect(page).toContain('+22.5');
    for (const text of [
      'f00d',
      '5a5a',
      'd0',
      'attune eval --params &#39;{}&#39;',
      '<code>acc&gt;=0.6</code>: t, baseline: 0.5000',
    ]) {
      expect(page).toContain(text);
    }
  });

  test('lists the items that changed, and only them', () => {
    // `one` gains 30–39 and loses 19; `two` gains 20 and 21.
    expect(page).toContain('10 wrong → right');
    expect(page).toContain('1 right → wrong');
    const shown = [...page.matchAll(/<code>(\d+)<\/code><\/summary>/g)].map(([, id]) => Number(id));
    expect(shown).toEqual([30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 19, 20, 21]);
  });

  test('has curves where there are positions, and slices where there are slices', () => {
    expect(page).not.toContain('By position');
    const parted = reportPage(
      readable((set) => {
        set.rows.forEach((row, i) => {
          for (const one of row) Object.assign(one, { position: i % 4, slice: i % 2 ? 'odd' : 'even' });
        });
      }),
    );
    expect(parted.match(/<polyline/g)).toHaveLength(3);
    expect(parted).toContain('even (n = 20)');
  });

  test('without interventions shows values and no differences', () => {
    const alone = reportPage(
      readable((set) => {
        set.settings = set.settings.slice(0, 1);
        set.rows = set.rows.map((row) => row.slice(0, 1));
      }),
    );
    expect(alone).toContain('<h2>Values</h2>');
    expect(alone).not.toMatch(/McNemar|Items that changed|p \(Holm\)/);
  });
});

test('changes of a perplexity are ordered by size, less being better', () => {
  const terms = [10, 20, 30].map((before, i) => [
    { word_perplexity: [before, 10] },
    { word_perplexity: [[8, 26, 35][i]!, 10] },
  ]);
  const set = rowsOf(terms as never, {}, ['word_perplexity'], 'loglikelihood_rolling');
  set.task.items = terms.map((_, i) => ({ id: `${i}`, at: '', output: 'loglikelihood_rolling', text: 'x' }));
  const [changes] = changesOf(set);
  expect(changes!.gained.map(({ item }) => item.id)).toEqual(['0']);
  expect(changes!.lost.map(({ item }) => item.id)).toEqual(['1', '2']);
});

test('Markdown: a row for each run and metric, bars escaped, gates ticked', () => {
  const report = readable((set) => {
    set.model = 'a|b';
  });
  const text = reportMarkdown(report);
  expect(text.split('\n').filter((line) => line.startsWith('|'))).toHaveLength(5);
  expect(text).toContain('a\\|b');
  expect(text).toContain('❌ `acc>=0.6`');
  expect(text).toContain('+22.5 [');
});

describe('figures', () => {
  test.each([
    [[0, 10], [0, 2, 4, 6, 8, 10], 0],
    [[-0.087, 0.031], [-0.1, -0.075, -0.05, -0.025, 0, 0.025, 0.05], 3],
    [[3, 3], [3, 4], 0],
    [[0, 0], [0, 0.2], 1],
  ])('the axis of %j has round ticks around it', (values, ticks, places) => {
    const scale = linearScale(values, 0, 100);
    expect(scale.ticks.map((tick) => Number(tick.toFixed(6)))).toEqual(ticks);
    expect(scale.places).toBe(places);
    expect(scale.at(ticks[0]!)).toBeCloseTo(0, 9);
    expect(scale.at(ticks.at(-1)!)).toBeCloseTo(100, 9);
  });

  test('a dot stands within its interval, and a value without one has a dot alone', () => {
    const row = { group: 'g', label: 'l', text: '', strong: true, series: 1 };
    const { text } = intervalPlot(
      [
        { ...row, value: 2, low: 1, high: 4 },
        { ...row, value: 3, low: null, high: null },
      ],
      { axis: 'x', reference: 0, format: String },
    );
    const [line] = [...text.matchAll(/class="interval" x1="([\d.]+)" x2="([\d.]+)"/g)].map((m) =>
      m.slice(1).map(Number),
    );
    const [dot] = [...text.matchAll(/<circle cx="([\d.]+)"/g)].map((m) => Number(m[1]));
    expect(line![0]!).toBeLessThan(dot!);
    expect(dot!).toBeLessThan(line![1]!);
    expect(text.match(/class="interval"/g)).toHaveLength(1);
    expect(text.match(/<circle/g)).toHaveLength(2);
  });

  test('curves go through their points from left to right', () => {
    const points = [0, 5, 9].map((x) => ({ x, value: x, low: null, high: null }));
    const { text } = curvePlot([{ label: 'l', series: 0, points }], { x: 'x', y: 'y', format: String });
    const [, list] = /points="([^"]+)"/.exec(text)!;
    const coordinates = list!.split(' ').map((pair) => pair.split(',').map(Number) as [number, number]);
    expect(coordinates.map(([x]) => x)).toEqual([...coordinates.map(([x]) => x)].sort((a, b) => a - b));
    expect(coordinates[0]![1]).toBeGreaterThan(coordinates[2]![1]);
  });
});

test('markup escapes text, joins lists, and leaves out what is not there', () => {
  expect(html`<b>${'a<b'}${[1, html`<i>${"'"}</i>`]}${undefined}${false}</b>`.text).toBe(
    '<b>a&lt;b1<i>&#39;</i></b>',
  );
});
