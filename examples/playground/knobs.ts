/** Knobs of a method, made from its schema: what a parameter takes decides which control it gets. */
import { html, type TemplateResult } from 'lit-html';
import { live } from 'lit-html/directives/live.js';
import { type JsonSchema, type Parameter, parametersOf } from '../../interventions/index.ts';
import { type HeadChoice, headsField, layersField, type Shape } from './head-choice.ts';

export type Values = Readonly<Record<string, unknown>>;

type Set = (value: unknown) => void;

/**
 * @param filled parameters that the page fills in by itself
 * @param change is given the parameters with one changed; a parameter at its default is left out
 */
export function knobs(
  schema: Parameters<typeof parametersOf>[0],
  values: Values,
  shape: Shape,
  filled: readonly string[],
  change: (values: Values) => void,
): TemplateResult {
  const set = (name: string) => (value: unknown) => {
    const { [name]: _, ...others } = values;
    change(value === undefined ? others : { ...others, [name]: value });
  };
  const own = parametersOf(schema).filter(({ name }) => !filled.includes(name));
  return html`${own.map((parameter) => {
    const id = `knob-${parameter.name}`;
    return html`<div class="knob">
      <label for=${id} id=${`${id}-label`}>${parameter.name}</label>
      ${field(parameter, id, values[parameter.name], shape, set(parameter.name))}
      <p id=${`${id}-help`}>${parameter.description}</p>
    </div>`;
  })}`;
}

const alternatives = (schema: JsonSchema): readonly JsonSchema[] => schema.anyOf ?? schema.oneOf ?? [schema];
const isNumber = ({ type }: JsonSchema): boolean => type === 'number' || type === 'integer';

function field(parameter: Parameter, id: string, given: unknown, shape: Shape, set: Set): TemplateResult {
  const { schema, default: usual, name } = parameter;
  const value = given ?? usual;
  const options = alternatives(schema);
  const words = options.flatMap(({ const: one, enum: some }) => [
    ...(typeof one === 'string' ? [one] : []),
    ...((some ?? []) as string[]),
  ]);
  if (name === 'heads') {
    const everywhere = words.includes('all');
    return headsField(id, value as HeadChoice | undefined, everywhere, shape, set);
  }
  if (name === 'layers') return layersField(id, value as 'all' | readonly number[], words, shape, set);
  if (schema.type === 'boolean') return tick(id, value === true, set);
  if (words.length > 1 && (value === undefined || typeof value === 'string')) {
    return choice(id, words, value as string | undefined, set);
  }
  const number = options.find(isNumber);
  if (number && (value === undefined || typeof value === 'number'))
    return slider(id, number, value as number | undefined, set);
  const groups = options.filter(({ properties }) => properties && Object.values(properties).every(isNumber));
  if (groups.length === options.length && typeof value === 'object') {
    return oneOfNumbers(id, groups, value as Readonly<Record<string, number>>, set);
  }
  return json(id, parameter, given, set);
}

const tick = (id: string, on: boolean, set: Set): TemplateResult =>
  html`<input type="checkbox" id=${id} aria-describedby=${`${id}-help`} .checked=${live(on)}
    @change=${(event: Event) => set((event.target as HTMLInputElement).checked)} />`;

const choice = (id: string, words: readonly string[], value: string | undefined, set: Set): TemplateResult =>
  html`<select id=${id} aria-describedby=${`${id}-help`} .value=${live(value ?? words[0]!)}
    @change=${(event: Event) => set((event.target as HTMLSelectElement).value)}>
    ${words.map((word) => html`<option ?selected=${word === value}>${word}</option>`)}
  </select>`;

/** Where a slider ends: at the schema's bounds, else a good way beyond what is set. */
function reach({ minimum, exclusiveMinimum, maximum, type }: JsonSchema, value: number) {
  const step = type === 'integer' ? 1 : maximum === 1 ? 0.01 : 0.05;
  const bounded = (bound: number | undefined) => bound !== undefined && Math.abs(bound) < 1e6;
  const min = bounded(minimum)
    ? minimum!
    : bounded(exclusiveMinimum)
      ? exclusiveMinimum! + step
      : Math.min(-10, 2 * value);
  const max = bounded(maximum) ? maximum! : Math.max(type === 'integer' ? 20 : 10, 2 * value);
  return { min, max, step };
}

function slider(id: string, schema: JsonSchema, value: number | undefined, set: Set): TemplateResult {
  const shown = value ?? schema.minimum ?? 0;
  const { min, max, step } = reach(schema, shown);
  const read = (event: Event) => Number((event.target as HTMLInputElement).value);
  return html`<span class="slider">
    <input type="range" id=${id} aria-describedby=${`${id}-help`} min=${min} max=${max} step=${step}
      .value=${live(String(shown))} @input=${(event: Event) => set(read(event))} />
    <input type="number" aria-labelledby=${`${id}-label`} min=${min} step="any" placeholder="unset"
      .value=${live(value === undefined ? '' : String(value))}
      @change=${(event: Event) => set((event.target as HTMLInputElement).value === '' ? undefined : read(event))} />
  </span>`;
}

/** A choice among objects of one number each, such as { tau } or { alpha }. */
function oneOfNumbers(
  id: string,
  groups: readonly JsonSchema[],
  value: Readonly<Record<string, number>>,
  set: Set,
): TemplateResult {
  const schemas = new Map(groups.flatMap(({ properties }) => Object.entries(properties ?? {})));
  const [name = '', number = 0] = Object.entries(value)[0] ?? [];
  return html`<select aria-labelledby=${`${id}-label`} .value=${live(name)}
      @change=${(event: Event) => set({ [(event.target as HTMLSelectElement).value]: number })}>
      ${[...schemas.keys()].map((one) => html`<option ?selected=${one === name}>${one}</option>`)}
    </select>${slider(id, schemas.get(name) ?? {}, number, (next) => set(next === undefined ? undefined : { [name]: next }))}`;
}

/** What is no JSON is passed on as text: the schema says what is wrong with it. */
function json(id: string, { takes, default: usual }: Parameter, value: unknown, set: Set): TemplateResult {
  const read = (text: string): unknown => {
    if (text.trim() === '') return undefined;
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  };
  const hint = usual === undefined ? takes : `${JSON.stringify(usual)}: ${takes}`;
  return html`<textarea id=${id} rows="1" spellcheck="false" aria-describedby=${`${id}-help`} placeholder=${hint}
    .value=${live(value === undefined ? '' : JSON.stringify(value))}
    @change=${(event: Event) => set(read((event.target as HTMLTextAreaElement).value))}></textarea>`;
}
