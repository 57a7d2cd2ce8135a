/** The effects with their intervals as a Vega-Lite specification, data inside: a row for each task and metric. */
import type { Result } from './results.ts';

export function vegaLite(results: readonly Result[]): string {
  const values = results
    .filter(({ delta }) => delta !== null)
    .map((result) => ({
      ...result,
      panel: `${result.task}, ${result.metric}`,
      sure: (result.p_holm ?? 1) < 0.05,
    }));
  const y = { field: 'intervention', type: 'nominal', title: null, sort: null };
  const x = (field: string) => ({ field, type: 'quantitative', title: 'difference to the baseline' });
  const layer = [
    { mark: { type: 'rule', strokeDash: [2, 2] }, encoding: { x: { datum: 0 } } },
    { mark: 'rule', encoding: { y, x: x('delta_low'), x2: { field: 'delta_high' } } },
    {
      mark: { type: 'point', size: 60 },
      encoding: {
        ...{ y, x: x('delta') },
        fill: { condition: { test: 'datum.sure', value: 'black' }, value: 'white' },
        tooltip: ['model', 'n', 'value', 'delta', 'delta_low', 'delta_high', 'p_holm'].map((field) => ({
          field,
        })),
      },
    },
  ];
  const specification = {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    description:
      'Differences to the baseline on the same items, 95 % intervals; full where p (Holm) is below 0.05',
    data: { values },
    facet: { row: { field: 'panel', type: 'nominal', title: null, sort: null } },
    resolve: { scale: { x: 'independent', y: 'independent' } },
    spec: { width: 400, layer },
  };
  return `${JSON.stringify(specification, null, 2)}\n`;
}
