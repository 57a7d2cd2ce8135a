/** The prompt of an item as it is shown first; of running text, the text. */
import type { Item, Segments } from './item.ts';

export function promptOf(item: Item): { context: string; segments?: Segments | undefined } {
  switch (item.output) {
    case 'multiple_choice':
      return { context: item.options[0]!.context, segments: item.segments };
    case 'loglikelihood':
    case 'generate_until':
      return { context: item.context, segments: item.segments };
    case 'yes_no':
    case 'caption':
      return { context: item.context };
    case 'pairwise': {
      const { options, segments } = item.orders[0]!;
      return { context: options[0]!.context, segments };
    }
    case 'loglikelihood_rolling':
      return { context: item.text };
  }
}
