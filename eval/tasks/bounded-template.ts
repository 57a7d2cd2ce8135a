/**
 * Jinja within a budget. Templates of tasks come from strangers, and two nested loops of a few characters run for hours; here a
 * rendering stops after a number of steps, of characters, and of elements of a range.
 */
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';

/** What one rendering may take; docs/trust.md names them. */
export const TEMPLATE_BUDGET = { steps: 30_000, characters: 1_000_000, range: 100_000 } as const;

/** As far as it is used here: the library's types of its parts do not resolve. */
interface Engine {
  run(program: Program): { value: string };
  evaluate(...given: unknown[]): { value?: unknown };
}
type Program = ReturnType<typeof parse>;
type Evaluate = Engine['evaluate'];
const JinjaEngine = Interpreter as new (environment: Environment) => Engine;

/** @throws SyntaxError for what is no template */
export const parseTemplate = (text: string): Program =>
  parse(tokenize(text, { lstrip_blocks: true, trim_blocks: true }));

/** @throws RangeError past the budget, and what the engine throws */
export function renderBounded(program: Program, values: Readonly<Record<string, unknown>>): string {
  const environment = new Environment();
  for (const [name, value] of Object.entries({ ...GLOBALS, ...values })) environment.set(name, value);
  return new BoundedEngine(environment).run(program).value;
}

class BoundedEngine extends JinjaEngine {
  #steps = 0;

  constructor(environment: Environment) {
    super(environment);
    // An iteration of a loop with an empty body evaluates nothing but its block.
    const block = Reflect.get(this, 'evaluateBlock') as Evaluate;
    Reflect.set(this, 'evaluateBlock', (...given: Parameters<Evaluate>) => this.#counted(block, given));
  }

  override evaluate(...given: Parameters<Evaluate>): ReturnType<Evaluate> {
    return this.#counted(super.evaluate, given);
  }

  #counted(evaluate: Evaluate, given: Parameters<Evaluate>): ReturnType<Evaluate> {
    this.#steps += 1;
    if (this.#steps > TEMPLATE_BUDGET.steps) throw past('steps');
    const result = evaluate.apply(this, given);
    const { value } = result;
    if (typeof value === 'string' && value.length > TEMPLATE_BUDGET.characters) throw past('characters');
    return result;
  }
}

function past(what: keyof typeof TEMPLATE_BUDGET): RangeError {
  return new RangeError(`more than ${TEMPLATE_BUDGET[what].toLocaleString('en')} ${what}`);
}

/** range(stop), range(start, stop), range(start, stop, step) */
function range(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  if (step === 0) throw new RangeError('a range with step 0');
  const length = Math.max(0, Math.ceil((to - from) / step));
  if (length > TEMPLATE_BUDGET.range) throw past('range');
  return Array.from({ length }, (_, i) => from + i * step);
}

const GLOBALS = { range, true: true, false: false, none: null, True: true, False: false, None: null };
