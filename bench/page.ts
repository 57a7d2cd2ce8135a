/** Pages with places for what programs make: `<!-- name -->` … `<!-- /name -->`. */
import { AttuneError } from '../errors.ts';

/** The page with `text` in the place `name`. @throws AttuneError PAGE_LACKS_PLACE */
export function between(page: string, name: string, text: string): string {
  const [from, to] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [before, rest] = page.split(from);
  const after = rest?.split(to)[1];
  if (after === undefined) {
    throw new AttuneError('PAGE_LACKS_PLACE', {
      found: `no ${from} … ${to}`,
      expected: 'both, in this order',
    });
  }
  return `${before}${from}\n\n${text}\n\n${to}${after}`;
}
