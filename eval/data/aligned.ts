/** Fields kept in files of their own whose line k belongs to line k of the main file (PIQA's labels). */
import { AttuneError } from '../../errors.ts';
import { contained, type DataFolder } from './contained.ts';
import { type Reject, readLines, rejectByThrowing } from './lines.ts';

export interface Aligned {
  /** The fields for a line; undefined, after `reject`, when a file has no such line. */
  at(line: number, file: string, reject: Reject): Record<string, string> | undefined;
  /** @throws AttuneError DATA_ALIGNED when a file goes on after the main file's last line. */
  end(line: number, file: string): void;
}

/** @param files field name → path, below `root`. */
export async function readAligned(files: Record<string, string>, root: DataFolder): Promise<Aligned> {
  const partners: { name: string; partner: string; lines: string[] }[] = [];
  for (const [name, partner] of Object.entries(files)) {
    const lines: string[] = [];
    const path = contained(partner, root, 'aligned');
    for await (const { text } of readLines(path, rejectByThrowing, partner)) lines.push(text);
    partners.push({ name, partner, lines });
  }
  const mismatch = (file: string, line: number, { name, partner, lines }: (typeof partners)[number]) =>
    new AttuneError('DATA_ALIGNED', {
      at: `${file}:${line}`,
      found: `${lines.length} lines in ${partner}`,
      expected: `as many lines as ${file} has, for the field "${name}"`,
    });

  return {
    at(line, file, reject) {
      const short = partners.find(({ lines }) => lines[line - 1] === undefined);
      if (short) {
        reject(mismatch(file, line, short));
        return undefined;
      }
      return Object.fromEntries(partners.map(({ name, lines }) => [name, lines[line - 1] as string]));
    },
    end(line, file) {
      const long = partners.find(({ lines }) => lines.length > line);
      if (long) throw mismatch(file, line, long);
    },
  };
}
