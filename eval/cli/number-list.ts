/** Lists of numbers on the command line: `1.5,2,4`, and for whole ones also ranges, `0-3,7`. */
import { AttuneError } from '../../errors.ts';
import type { Arguments } from './arguments.ts';

/** @throws AttuneError ARGUMENT_INVALID for what is no finite number */
export function numbers(args: Arguments, name: string): number[] | undefined {
  return args
    .text(name)
    ?.split(',')
    .map((text) => {
      const value = text.trim() === '' ? Number.NaN : Number(text);
      if (Number.isFinite(value)) return value;
      throw invalid(name, text, 'numbers with commas between them, such as 1.5,2,4');
    });
}

/** @throws AttuneError ARGUMENT_INVALID for a list */
export function number(args: Arguments, name: string): number | undefined {
  const list = numbers(args, name);
  if (list === undefined || list.length === 1) return list?.[0];
  throw invalid(name, args.text(name)!, 'one number');
}

/** @throws AttuneError ARGUMENT_INVALID */
export function indices(args: Arguments, name: string): number[] | undefined {
  return args
    .text(name)
    ?.split(',')
    .flatMap((text) => {
      const [, from, to = from] = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(text) ?? [];
      if (from !== undefined && Number(to) >= Number(from)) {
        return Array.from({ length: Number(to) - Number(from) + 1 }, (_, i) => Number(from) + i);
      }
      throw invalid(name, text, 'whole numbers and ranges with commas between them, such as 0-3,7');
    });
}

function invalid(name: string, found: string, expected: string): AttuneError {
  return new AttuneError('ARGUMENT_INVALID', { at: `--${name}`, found: JSON.stringify(found), expected });
}
