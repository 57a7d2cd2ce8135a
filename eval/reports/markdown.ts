/** report.md, which is also what goes into a GitHub job's summary. */
import type { RunReport } from '../runner/report.ts';
import type { ReadableReport } from './document.ts';
import { number, probability, range, signed, unit } from './numbers.ts';

export function reportMarkdown({ document, costs, gates, command }: ReadableReport): string {
  const { runs, models, software, options } = document;
  const lines = runs.flatMap((run, i) =>
    Object.entries(run.metrics).map(([metric, value]) => {
      const delta = run.delta[metric as keyof RunReport['delta']];
      const { overhead } = costs[i]!;
      return [
        run.model,
        run.task,
        run.intervention,
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
  const checks = gates.map(({ gate, pass }) => `- ${pass ? '✅' : '❌'} \`${gate}\`\n`);
  return `## attune eval

${table([header, ...lines])}
Brackets are 95 % intervals; differences are to the baseline on the same items, p (Holm) corrected over the
interventions of a task. Seed ${options.seed}, ${options.resamples} resamples.
${checks.length ? `\n${checks.join('')}` : ''}
\`\`\`sh
${command}
\`\`\`

${models.map(({ name, fingerprint }) => `${name}: \`${fingerprint}\`  \n`).join('')}${Object.entries(software)
  .map(([name, version]) => `${name} ${version}`)
  .join(', ')}
`;
}

const table = (rows: readonly (string | number)[][]): string =>
  rows
    .map((row, i) => {
      const line = `| ${row.map((cell) => String(cell).replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |\n`;
      return i === 0 ? `${line}|${' --- |'.repeat(row.length)}\n` : line;
    })
    .join('');
