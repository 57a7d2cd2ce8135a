/**
 * The elements of one array inside a JSON text, each with the line it starts on.
 * JSON.parse says nothing about lines and gives up at the first error; this walk finds where every element begins and
 * ends by brackets and strings alone and leaves the parsing of each to JSON.parse.
 */
import { AttuneError } from '../../errors.ts';

export interface JsonElement {
  /** The element's text. */
  text: string;
  /** Line of its first character, from 1. */
  line: number;
}

/**
 * @param select keys from the root to the array, joined by dots; empty for a root that is the array itself.
 * @param object whether one object may stand where the array is expected; it is then the only element.
 * @throws AttuneError DATA_SYNTAX naming the line, DATA_SELECT when `select` does not lead to an array.
 */
export function* jsonElements(
  json: string,
  file: string,
  select = '',
  object = false,
): Generator<JsonElement> {
  const walk = new Walk(json, file);
  walk.space();
  for (const key of select === '' ? [] : select.split('.')) walk.enter(key);
  if (object && json[walk.at] === '{') {
    const start = walk.at;
    const line = walk.line();
    walk.value();
    yield { text: json.slice(start, walk.at), line };
    return;
  }
  walk.openArray(select);
  while (!walk.closes(']')) {
    const line = walk.line();
    const start = walk.at;
    walk.value();
    yield { text: json.slice(start, walk.at), line };
    walk.comma(']');
  }
}

/** A cursor over the text. It stops in front of values and never builds them. */
class Walk {
  at = 0;
  #lineAt = 0;
  #line = 1;
  readonly json: string;
  readonly file: string;

  constructor(json: string, file: string) {
    this.json = json;
    this.file = file;
  }

  /** Line of the cursor; counts on from the last call, so the whole walk stays linear. */
  line(): number {
    for (; this.#lineAt < this.at; this.#lineAt++) if (this.json[this.#lineAt] === '\n') this.#line++;
    return this.#line;
  }

  space(): void {
    while (/[ \t\r\n]/.test(this.json[this.at] ?? '')) this.at++;
  }

  /** From the front of an object to the front of the value under `key`. */
  enter(key: string): void {
    const keys: string[] = [];
    if (this.json[this.at] !== '{') this.#select(`${this.#next()}`, `an object with the key "${key}"`);
    this.at++;
    this.space();
    while (!this.closes('}')) {
      const start = this.at;
      if (this.json[start] !== '"') this.#syntax('a key in quotes');
      this.string();
      const name = this.json.slice(start + 1, this.at - 1);
      this.space();
      if (this.json[this.at] !== ':') this.#syntax('":"');
      this.at++;
      this.space();
      if (name === key) return;
      keys.push(name);
      this.value();
      this.comma('}');
    }
    this.#select(`the keys ${keys.join(', ') || '(none)'}`, `the key "${key}"`);
  }

  openArray(select: string): void {
    if (this.json[this.at] !== '[') {
      this.#select(this.#next(), select ? `an array at "${select}"` : 'an array');
    }
    this.at++;
    this.space();
  }

  /** True, and past it, when the next character is this closing bracket. */
  closes(bracket: ']' | '}'): boolean {
    if (this.json[this.at] !== bracket) return false;
    this.at++;
    return true;
  }

  comma(bracket: ']' | '}'): void {
    this.space();
    if (this.json[this.at] === bracket) return;
    if (this.json[this.at] !== ',') this.#syntax(`"," or "${bracket}"`);
    this.at++;
    this.space();
    if (this.json[this.at] === bracket) this.#syntax('a value after the comma');
  }

  /** Past one value of any kind. */
  value(): void {
    const first = this.json[this.at];
    if (first === '"') {
      this.string();
      return;
    }
    if (first !== '{' && first !== '[') {
      const start = this.at;
      while (/[^,\]}\s]/.test(this.json[this.at] ?? ',')) this.at++;
      if (this.at === start) this.#syntax('a value');
      return;
    }
    const opened = this.line();
    let depth = 0;
    do {
      const character = this.json[this.at];
      if (character === undefined) {
        this.#syntax(`a "${first === '{' ? '}' : ']'}" for the bracket of line ${opened}`);
      }
      if (character === '"') {
        this.string();
        continue;
      }
      if (character === '{' || character === '[') depth++;
      if (character === '}' || character === ']') depth--;
      this.at++;
    } while (depth > 0);
  }

  string(): void {
    const opened = this.at;
    for (this.at++; this.json[this.at] !== '"'; this.at++) {
      if (this.json[this.at] === '\\') this.at++;
      if (this.at >= this.json.length) {
        this.at = opened;
        this.#syntax('a closing quote');
      }
    }
    this.at++;
  }

  #next(): string {
    const character = this.json[this.at];
    if (character === undefined) return 'the end of the file';
    return character === '{' ? 'an object' : `"${this.json.slice(this.at, this.at + 12)}"`;
  }

  #syntax(expected: string): never {
    throw new AttuneError('DATA_SYNTAX', {
      at: `${this.file}:${this.line()}`,
      found: this.#next(),
      expected,
    });
  }

  #select(found: string, expected: string): never {
    throw new AttuneError('DATA_SELECT', {
      at: `${this.file}:${this.line()}`,
      found,
      expected,
      hint: 'Set "select" in the task\'s source to the keys that lead to the array of records, or "format" to "jsonl"',
    });
  }
}
