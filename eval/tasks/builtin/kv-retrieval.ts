/**
 * Key-value retrieval of Lost in the Middle (Liu et al., 2023): the value of a key in a JSON object of 75 pairs, the pair
 * asked for moved through the object. With 10 pairs it fits models of short context. Prompt and metric are the paper's.
 */
import { defineTask } from '../definition.ts';

/** Pairs before and after the right one, which goes to `position`. */
const OBJECT = `{% for pair in ordered_kv_records if pair[0] != key %}{% if loop.index0 < pairs - 1 %}
{%- if loop.index0 == position %}{{ '{' if position == 0 else ',\\n ' }}"{{ key }}": "{{ value }}"{% endif -%}
{{ '{' if loop.index0 == 0 and position > 0 else ',\\n ' }}"{{ pair[0] }}": "{{ pair[1] }}"{% endif %}{% endfor -%}
{% if position == pairs - 1 %},\n "{{ key }}": "{{ value }}"{% endif %}}`;

const kvRetrieval = (name: string, pairs: number, positions: number[]) =>
  defineTask({
    name,
    output: 'generate_until',
    source: { file: 'lost-in-the-middle/kv-retrieval-75_keys.jsonl.gz' },
    fields: { ordered_kv_records: 'list', key: 'string', value: 'string' },
    constants: { pairs },
    variants: { position: positions },
    position: '{{ position }}',
    prompt: `Extract the value corresponding to the specified key in the JSON object below.\n\nJSON data:\n${OBJECT}\n\nKey: "{{ key }}"\nCorresponding value:`,
    target: '{{ value }}',
    until: ['\n'],
    maxTokens: 64,
    answer: { ignore: ['case', 'space'] },
    metrics: ['contains'],
  });

export const kvRetrieval75 = kvRetrieval('kv-retrieval-75', 75, [0, 24, 49, 74]);
export const kvRetrieval10 = kvRetrieval('kv-retrieval-10', 10, [0, 3, 6, 9]);
