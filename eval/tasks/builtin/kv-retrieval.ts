/**
 * Key-value retrieval of Lost in the Middle (Liu et al., 2023): the value of a key in a JSON object of 75 pairs, the pair
 * asked for moved through the object. With 10 pairs it fits models of short context. Prompt and metric are the paper's.
 */
import { defineTask } from '../definition.ts';

/** Between two lines while they are one text; in no key and no value. */
const BREAK = '\u001f';

/**
 * The pairs as they are written, the right one at `position` among the first `pairs - 1` others, which are among the first `pairs`
 * records. All but the last end their line and all but the first begin with its space, so that together they are the lines of the object.
 * One loop, and no step that each line takes on its own: the engine makes objects of every step.
 */
const PAIRS = `{%- set ns = namespace(others=[]) -%}
{%- for pair in ordered_kv_records[:pairs] if pair[0] != key -%}
{%- if loop.index0 < pairs - 1 -%}
{%- set ns.others = ns.others + ['"' ~ pair[0] ~ '": "' ~ pair[1] ~ '"'] -%}
{%- endif -%}
{%- endfor -%}
{%- set all = ns.others[:position] + ['"' ~ key ~ '": "' ~ value ~ '"'] + ns.others[position:] -%}
{{ (all | join(',\\n${BREAK} ')).split('${BREAK}') | tojson }}`;

const kvRetrieval = (name: string, pairs: number, positions: number[]) =>
  defineTask({
    name,
    output: 'generate_until',
    source: { file: 'lost-in-the-middle/kv-retrieval-75_keys.jsonl.gz' },
    fields: { ordered_kv_records: 'list', key: 'string', value: 'string' },
    constants: { pairs },
    variants: { position: positions },
    position: '{{ position }}',
    prompt: {
      prefix:
        'Extract the value corresponding to the specified key in the JSON object below.\n\nJSON data:\n{',
      parts: PAIRS,
      suffix: '}\n\nKey: "{{ key }}"\nCorresponding value:',
    },
    target: '{{ value }}',
    until: ['\n'],
    maxTokens: 64,
    answer: { ignore: ['case', 'space'] },
    metrics: ['contains'],
  });

export const kvRetrieval75 = kvRetrieval('kv-retrieval-75', 75, [0, 24, 49, 74]);
export const kvRetrieval10 = kvRetrieval('kv-retrieval-10', 10, [0, 3, 6, 9]);
