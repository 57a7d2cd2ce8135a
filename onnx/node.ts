/**
 * Node's own modules, where there are any. They are asked for, not imported, so that bundlers for browsers find nothing to resolve
 * and a page that loads attune without a bundler does not ask its server for "node:fs".
 */
import { AttuneError } from '../errors.ts';

interface NodeModules {
  readonly 'node:child_process': typeof import('node:child_process');
  readonly 'node:fs': typeof import('node:fs');
  readonly 'node:fs/promises': typeof import('node:fs/promises');
  readonly 'node:module': typeof import('node:module');
  readonly 'node:os': typeof import('node:os');
  readonly 'node:path': typeof import('node:path');
  readonly 'node:url': typeof import('node:url');
  readonly 'node:util': typeof import('node:util');
}

/** Node, and what has its modules, such as Bun and Deno. */
export function inNode(): boolean {
  return typeof process !== 'undefined' && process.versions?.node !== undefined;
}

/**
 * A module of Node, without an import that a bundle for browsers would follow.
 *
 * @example const { readFileSync } = nodeModule('node:fs');
 * @throws AttuneError NEEDS_NODE in a browser
 */
export function nodeModule<N extends keyof NodeModules>(name: N): NodeModules[N] {
  const found = inNode() ? process.getBuiltinModule(name) : undefined;
  if (found) return found as NodeModules[N];
  throw new AttuneError('NEEDS_NODE', {
    found: `a place without ${name}, such as a browser`,
    expected: 'Node, version 20.19 or newer',
    hint: 'Give bytes or a Blob where a path stands; files and journals are for Node.',
  });
}
