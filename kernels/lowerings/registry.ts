/**
 * The lowerings there are. Their order is part of their meaning: where nothing was measured the first that can is taken, so
 * the one that changes least comes first.
 * The operator of the native runtime is a row like the others, which that runtime adds: browsers do not load it.
 */
import { atPattern } from './at-pattern.ts';
import { decodeStep } from './decode-step.ts';
import { documents } from './documents.ts';
import { expand } from './expand.ts';
import { keepInBlocks } from './keep-in-blocks.ts';
import { keepOperator } from './keep-operator.ts';
import type { Lowering } from './lowering.ts';

const rows: Lowering[] = [keepOperator, keepInBlocks, expand, atPattern];

/** Each takes every call of a site; one is chosen. */
export const REGISTRY: readonly Lowering[] = rows;

/** Of what adds it, once. */
export function addLowering(row: Lowering): void {
  if (!rows.includes(row)) rows.push(row);
}

/** Each takes some calls beside the one chosen, wherever it can. */
export const COMPANIONS = [decodeStep, documents] as const;
