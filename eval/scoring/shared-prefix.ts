/**
 * Which rows of tokens to compute together: neighbours that begin alike share one pass over the beginning.
 * Pure bookkeeping; the model is run elsewhere.
 */

export interface PrefixGroup {
  /** Length of the beginning that all rows share; at most the shortest row. */
  prefix: number;
  /** Indices into the rows, consecutive. */
  rows: number[];
}

/**
 * A row joins the group before it if that lowers the number of tokens computed: with k rows sharing p tokens so far and
 * q of them with the new row, k (p − q) tokens fall out of the shared part and p are saved.
 */
export function groupByPrefix(rows: readonly (readonly number[])[]): PrefixGroup[] {
  const groups: PrefixGroup[] = [];
  rows.forEach((row, index) => {
    const group = groups.at(-1);
    if (group) {
      const q = commonPrefix(rows[group.rows[0] as number] as readonly number[], row, group.prefix);
      if (q > 0 && group.rows.length * (group.prefix - q) < group.prefix) {
        group.prefix = q;
        group.rows.push(index);
        return;
      }
    }
    groups.push({ prefix: row.length, rows: [index] });
  });
  return groups;
}

/** Rows that are equal to the last token: they may be computed once under any intervention. */
export function groupEqual(rows: readonly (readonly number[])[]): PrefixGroup[] {
  const groups = new Map<string, PrefixGroup>();
  rows.forEach((row, index) => {
    const key = row.join();
    const group = groups.get(key);
    if (group) group.rows.push(index);
    else groups.set(key, { prefix: row.length, rows: [index] });
  });
  return [...groups.values()];
}

function commonPrefix(a: readonly number[], b: readonly number[], limit: number): number {
  const most = Math.min(a.length, b.length, limit);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}
