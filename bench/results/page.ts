/** The page that results are shown on. */
import { readFileSync, writeFileSync } from 'node:fs';

const PAGE = 'docs/results.md';

/** Puts text between `<!-- name -->` and `<!-- /name -->`. @throws Error where the page lacks them */
export function between(name: string, text: string): void {
  const page = readFileSync(PAGE, 'utf8');
  const [from, to] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [before, rest] = page.split(from);
  const after = rest?.split(to)[1];
  if (after === undefined) throw new Error(`${PAGE} has no place for ${name}: ${from} … ${to}`);
  writeFileSync(PAGE, `${before}${from}\n\n${text}\n\n${to}${after}`);
}
