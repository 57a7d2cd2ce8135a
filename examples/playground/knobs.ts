/** Knobs of a method, made from its schema: a slider for a number, a choice for names, a text field of JSON for the rest. */
import { html, type TemplateResult } from 'lit-html';
import { type Parameter, parametersOf } from '../../interventions/index.ts';

type Values = Readonly<Record<string, unknown>>;

/** @param change is given the parameters with one changed; undefined for one at its default */
export function knobs(
  schema: Parameters<typeof parametersOf>[0],
  values: Values,
  change: (values: Values) => void,
): TemplateResult {
  const set = (name: string, value: unknown) => {
    const { [name]: _, ...others } = values;
    change(value === undefined ? others : { ...others, [name]: value });
  };
  return html`${parametersOf(schema).map(
    (parameter) => html`<label class="knob">
      <span><b>${parameter.name}</b> ${parameter.description}</span>
      ${field(parameter, values[parameter.name], (value) => set(parameter.name, value))}
    </label>`,
  )}`;
}

function field(
  { takes, default: usual, required }: Parameter,
  value: unknown,
  set: (value: unknown) => void,
): TemplateResult {
  const choices = takes.split(' or ').filter((one) => /^"[^"]*"$/.test(one));
  if (choices.length > 1 && choices.length === takes.split(' or ').length) {
    const names = choices.map((one) => JSON.parse(one) as string);
    return html`<select @change=${(event: Event) => set((event.target as HTMLSelectElement).value)}>
      ${names.map((name) => html`<option ?selected=${name === (value ?? usual)}>${name}</option>`)}
    </select>`;
  }
  if (takes.startsWith('a number') && (value === undefined || typeof value === 'number')) {
    const shown = value ?? usual ?? 1;
    return html`<span class="slider">
      <input type="range" min="0" max=${/≤ 1\b/.test(takes) ? 1 : 10} step="0.05" .value=${String(shown)}
        @input=${(event: Event) => set(Number((event.target as HTMLInputElement).value))} />
      <output>${shown}</output>
    </span>`;
  }
  return html`<input type="text" spellcheck="false" placeholder=${required ? takes : `${JSON.stringify(usual) ?? 'optional'}: ${takes}`}
    .value=${value === undefined ? '' : JSON.stringify(value)}
    @change=${(event: Event) => set(parsed((event.target as HTMLInputElement).value))} />`;
}

/** What is no JSON is passed on as text: the schema says what is wrong with it. */
function parsed(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
