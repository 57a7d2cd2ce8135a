/** report.md, which is also what goes into a GitHub job's summary. */
import type { RunReport } from '../runner/report.ts';
import { withoutControls } from '../terminal.ts';
import type { ReadableReport } from './document.ts';
import { number, probability, range, signed, unit } from './numbers.ts';

export function reportMarkdown({ document, costs, gates, command }: ReadableReport): string {
  const { runs, models, software, options } = document;
  const lines = runs.flatMap((run, i) =>
    Object.entries(run.metrics).map(([metric, value]) => {
      const delta = run.delta[metric as keyof RunReport['delta']];
      const { overhead } = costs[i]!;
      return [
        ...[run.model, run.task, run.intervention].map(markdownText),
        metric + unit(metric),
        run.n,
        `${number(metric, value.value)} [${range(metric, value)}]`,
        delta ? `${signed(metric, delta.value)} [${range(metric, delta, signed)}]` : '',
        delta ? probability(delta.p) : '',
        delta ? probability(delta.pHolm) : '',
        run.unparsable,
        overhead.low === null ? '' : `${overhead.value.toFixed(2)}×`,
      ];
    }),
  );
  const header = [
    'model',
    'task',
    'intervention',
    'metric',
    'n',
    'value',
    'difference',
    'p',
    'p (Holm)',
    'unparsable',
    'time',
  ];
  const checks = gates.map(({ gate, pass }) => `- ${pass ? '✅' : '❌'} \`${gate.replaceAll('`', '')}\`\n`);
  return `## attune eval

${table([header, ...lines])}
Brackets are 95 % intervals; differences are to the baseline on the same items, p (Holm) corrected over the
interventions of a task. Seed ${options.seed}, ${options.resamples} resamples.
${checks.length ? `\n${checks.join('')}` : ''}
${fenced('sh', command)}

${models.map(({ name, fingerprint }) => `${markdownText(name)}: \`${fingerprint}\`  \n`).join('')}${Object.entries(
  software,
)
  .map(([name, version]) => `${name} ${version}`)
  .join(', ')}
`;
}

/** Text as text: no markup, link or tag of a name comes through, and one line stays one. */
export const markdownText = (text: string): string =>
  withoutControls(text.replaceAll(/\s+/g, ' '))
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll(/[\\`*_{}[\]#|~!]/g, '\\$&');

/** A block of code that its content cannot end. */
function fenced(language: string, code: string): string {
  const longest = Math.max(2, ...(code.match(/`+/g) ?? []).map(({ length }) => length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}${language}\n${withoutControls(code)}\n${fence}`;
}

const table = (rows: readonly (string | number)[][]): string =>
  rows
    .map((row, i) => {
      const line = `| ${row.join(' | ')} |\n`;
      return i === 0 ? `${line}|${' --- |'.repeat(row.length)}\n` : line;
    })
    .join('');
