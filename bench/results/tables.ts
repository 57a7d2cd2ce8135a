/** Results as Markdown: a table a task, every number with its interval, every effect with its paired test. */

interface Figure {
  readonly value: number;
  readonly low: number | null;
  readonly high: number | null;
}

export interface Run {
  readonly task: string;
  readonly intervention: string;
  readonly specification: readonly Readonly<Record<string, unknown>>[];
  readonly n: number;
  readonly metrics: Readonly<Record<string, Figure>>;
  readonly delta: Readonly<Record<string, Figure & { p: number | null; pHolm?: number | null }>>;
  readonly unparsable: number;
  readonly positions?: readonly { position: number | string; metrics: Readonly<Record<string, Figure>> }[];
  readonly cost?: unknown;
}

/** A method against another on the same items: after − before, from `attune compare`. */
export interface Comparison {
  readonly intervention: string;
  readonly against: string;
  readonly n: number;
  readonly metrics: Readonly<Record<string, { readonly delta: Run['delta'][string] }>>;
}

const percent = (x: number): string => (100 * x).toFixed(1);

const interval = ({ low, high }: Figure, write: (x: number) => string): string =>
  low === null || high === null ? '' : ` [${write(low)}, ${write(high)}]`;

/** Shares in percent; a length in words. */
const figure = (name: string, value: Figure): string => {
  const write = name === 'length' ? (x: number) => x.toFixed(1) : percent;
  return `${write(value.value)}${interval(value, write)}`;
};

const signed = (x: number): string => `${x > 0 ? '+' : ''}${percent(x)}`;

function effect(name: string, delta: Run['delta'][string] | undefined): string {
  if (!delta) return '';
  const p = delta.pHolm ?? delta.p;
  const write = name === 'length' ? (x: number) => `${x > 0 ? '+' : ''}${x.toFixed(1)}` : signed;
  return `${write(delta.value)}${interval(delta, write)}${p === null ? '' : `, p ${p < 0.001 ? '< 0.001' : p.toFixed(3)}`}`;
}

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

/** Of Markdown. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n');

/** Largest minus smallest value over the places of the right answer. */
function spread(run: Run, metric: string): string {
  const values = (run.positions ?? []).map(({ metrics }) => metrics[metric]?.value ?? Number.NaN);
  return values.length < 2 ? '' : percent(Math.max(...values) - Math.min(...values));
}

const SEARCHED: Readonly<Record<string, string>> = { zerotuning: 'ZeroTuning', act: 'ACT' };

/** As the study names them: its methods in their order, and what a profile is a search of. */
function labelsOf(runs: readonly Run[], methods: readonly string[]): string[] {
  const names = [...methods];
  return runs.map(({ intervention }, i) => {
    const searched = SEARCHED[intervention.split('.').at(-1)!];
    return i === 0 ? intervention : (searched ?? names.shift() ?? intervention);
  });
}

/** One row a method; the effects of the metrics that the study is about, with their paired tests. */
function taskTable(runs: readonly Run[], effects: readonly string[], methods: readonly string[]): string {
  const [untouched] = runs as [Run, ...Run[]];
  const names = Object.keys(untouched.metrics);
  const labels = labelsOf(runs, methods);
  const placed = (untouched.positions ?? []).length > 1;
  const [first] = effects as [string, ...string[]];
  return table(
    [
      '',
      ...names.map((name) => (name === 'length' ? 'length, words' : `${name}, %`)),
      ...effects.map((name) => `Δ ${name}`),
      ...(placed ? [`${first} by place`, 'spread'] : []),
    ],
    runs.map((run, i) => [
      labels[i]!,
      ...names.map((name) => figure(name, run.metrics[name]!)),
      ...effects.map((name) => (run === untouched ? '' : effect(name, run.delta[name]))),
      ...(placed
        ? [
            (run.positions ?? []).map(({ metrics }) => percent(metrics[first]!.value)).join(' '),
            spread(run, first),
          ]
        : []),
    ]),
  );
}

/** @param results of one study, in the order of its tasks */
export function tablesOf(
  results: readonly {
    readonly task: string;
    readonly effects: readonly string[];
    readonly chosen: readonly {
      method: string;
      params: Readonly<Record<string, unknown>>;
      scores?: readonly number[];
    }[];
    readonly runs: readonly Run[];
    readonly against?: readonly Comparison[];
  }[],
): string {
  return results
    .map(({ task, effects, chosen, runs, against = [] }) => {
      const settings = chosen
        .filter(({ scores }) => scores !== undefined)
        .map(({ method, params, scores }) => `${method} \`${JSON.stringify(params)}\` of ${scores!.length}`);
      const unparsable = Math.max(...runs.map((run) => run.unparsable));
      return [
        `### ${task}`,
        `n = ${runs[0]!.n} of the test split; at most ${unparsable} unparsable in any row.${settings.length ? ` Chosen on the calibration split: ${settings.join('; ')}.` : ''}`,
        taskTable(
          runs,
          effects,
          chosen.map(({ method }) => method),
        ),
        ...against.map(
          ({ intervention, against: other, metrics }) =>
            `${intervention} against ${other}: ${Object.keys(metrics)
              .map((name) => `${name} ${effect(name, metrics[name]!.delta)}`)
              .join('; ')}.`,
        ),
      ].join('\n\n');
    })
    .join('\n\n');
}
