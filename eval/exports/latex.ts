/** A table for a paper, with the rules of booktabs: values and differences with their intervals, p after Holm's correction. */
import { number, probability, range, signed, unit } from '../reports/numbers.ts';
import type { Result } from './results.ts';

export function latex(results: readonly Result[]): string {
  const models = new Set(results.map(({ model }) => model)).size > 1;
  const head = [...(models ? ['Model'] : []), 'Task', 'Method', 'Metric', '$n$', 'Value', '$\\Delta$', '$p$'];
  const rows = results.map((result, i) => {
    const above = results[i - 1];
    const group = (name: 'model' | 'task') =>
      above?.model === result.model && above[name] === result[name] ? '' : escaped(result[name]);
    const first = above?.task !== result.task || above?.model !== result.model;
    const cells = [...(models ? [group('model')] : []), group('task'), ...numbers(result)];
    return `${first && i > 0 ? '\\midrule\n' : ''}${cells.join(' & ')} \\\\`;
  });
  return `% \\usepackage{booktabs}; intervals are 95\\,\\%, differences paired with the baseline, p corrected after Holm
\\begin{tabular}{${'l'.repeat(head.length - 4)}rrrr}
\\toprule
${head.join(' & ')} \\\\
\\midrule
${rows.join('\n')}
\\bottomrule
\\end{tabular}
`;
}

function numbers({
  intervention,
  metric,
  n,
  delta,
  delta_low,
  delta_high,
  p_holm,
  ...own
}: Result): string[] {
  const change = { low: delta_low, high: delta_high };
  return [
    escaped(intervention),
    escaped(metric + unit(metric)),
    `${n}`,
    `${number(metric, own.value)} {\\small[${math(range(metric, own))}]}`,
    delta === null ? '' : `${math(signed(metric, delta))} {\\small[${math(range(metric, change, signed))}]}`,
    p_holm === null ? '' : math(probability(p_holm)),
  ];
}

const math = (text: string): string =>
  text
    .replaceAll(' … ', ', ')
    .replaceAll('−', '$-$')
    .replaceAll(/(\d)e-(\d+)/g, '$1$\\cdot10^{-$2}$')
    .replaceAll('–', '--');

const SPECIAL: Readonly<Record<string, string>> = {
  '\\': '\\textbackslash{}',
  '~': '\\textasciitilde{}',
  '^': '\\textasciicircum{}',
};

const escaped = (text: string): string =>
  text.replaceAll(/[\\~^&%$#_{}]/g, (sign) => SPECIAL[sign] ?? `\\${sign}`);
