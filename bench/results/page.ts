/** The page that results are shown on. */
import { readFileSync, writeFileSync } from 'node:fs';
import { between as placed } from '../page.ts';

const PAGE = 'docs/results.md';

/** Puts text between `<!-- name -->` and `<!-- /name -->`. @throws AttuneError PAGE_LACKS_PLACE */
export function between(name: string, text: string): void {
  writeFileSync(PAGE, placed(readFileSync(PAGE, 'utf8'), name, text));
}
