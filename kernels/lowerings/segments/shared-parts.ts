/** What is the same for all sites over documents and stands once in a graph. */
import { type Emit, emitter, opsetsFor } from '../../../onnx/emitter.ts';
import type { FunctionDef, Node } from '../../../onnx/index.ts';
import type { State } from '../lowered.ts';

/** Nodes that are the same for all layers, and the functions they call. */
export class SharedParts {
  readonly nodes: Node[] = [];
  readonly #functions = new Map<string, FunctionDef>();
  readonly #opsets = new Map<string, number>();
  readonly #memo = new Map<string, object>();

  get parts() {
    const states: State[] = [];
    return [{ states, functions: this.#functions, opsets: Object.fromEntries(this.#opsets) }];
  }

  once<T extends object>(key: string, opset: number, write: (emit: Emit) => T): T {
    const known = this.#memo.get(key);
    if (known) return known as T;
    const emit = emitter(opset, `attune.shared.${this.#memo.size}.`);
    const made = write(emit);
    this.nodes.push(...emit.nodes);
    for (const [name, fn] of emit.functions) this.#functions.set(name, fn);
    for (const [domain, version] of Object.entries(opsetsFor(opset))) this.#opsets.set(domain, version);
    this.#memo.set(key, made);
    return made;
  }
}
