import { Template } from '@huggingface/jinja';
import { expect, test } from 'vitest';
import { isAttuneError } from '../../errors.ts';
import { TEMPLATE_BUDGET } from './bounded-template.ts';
import { compileTemplate } from './template.ts';

const failure = (text: string, values: Record<string, unknown> = {}): unknown => {
  try {
    return compileTemplate(text, Object.keys(values), 'prompt')(values);
  } catch (error) {
    return error;
  }
};

test.each([
  ['{% for i in range(3) %}{{ loop.index }}{{ q }},{% endfor %}', { q: 'x' }],
  [
    '{% set ns = namespace(n=0) %}{% for i in range(2, 9, 3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}',
    {},
  ],
  ['{%- if q == True %}\nyes\n{%- else %}\nno\n{% endif %}', { q: false }],
  ["{{ items | map(attribute='a') | join(' and ') }}", { items: [{ a: 'b' }, { a: 'c' }] }],
])('%s renders as the library renders it', (text, values: Record<string, unknown>) => {
  expect(failure(text, values)).toBe(new Template(text).render(values));
});

test.each([
  ['an endless range', '{% for i in range(1000000000) %}x{% endfor %}', 'range'],
  [
    'nested loops that do nothing',
    '{% for i in range(3000) %}{% for j in range(3000) %}{% endfor %}{% endfor %}',
    'steps',
  ],
  [
    'text that doubles',
    `{% set s = 'ab' %}${'{% set s = s ~ s %}'.repeat(40)}{{ s | length }}`,
    'characters',
  ],
  ['a macro that calls itself', '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', ''],
])('%s ends in TASK_TEMPLATE', (_, text, what) => {
  const error = failure(text);
  expect(isAttuneError(error, 'TASK_TEMPLATE')).toBe(true);
  expect((error as Error).message).toContain(what);
});

test('the budget is far above what prompts take', () => {
  const text = '{% for line in lines %}{{ loop.index }}. {{ line }}\n{% endfor %}';
  const lines = Array.from({ length: 1000 }, (_, i) => `line ${i}`);
  expect(failure(text, { lines })).toContain('1000. line 999');
  expect(TEMPLATE_BUDGET.steps).toBeGreaterThan(8 * lines.length);
});

test.each(['constructor', '__proto__', 'toString', 'range'])('a field may be called %s', (name) => {
  expect(failure(`{{ ${name} }}`, Object.fromEntries([[name, 'value']]))).toBe('value');
});
