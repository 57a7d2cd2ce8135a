/**
 * The lowerings there are. Their order is part of their meaning: where nothing was measured the first that can is taken, so
 * the one that changes least comes first.
 * The kernel outside of the graph, the operator of the native runtime, is a row like the others.
 */
import { atPattern } from './at-pattern.ts';
import { decodeStep } from './decode-step.ts';
import { documents } from './documents.ts';
import { expand } from './expand.ts';
import { keepInBlocks } from './keep-in-blocks.ts';
import { keepOperator } from './keep-operator.ts';
import type { Lowering } from './lowering.ts';
import { native } from './native/index.ts';

/** Each takes every call of a site; one is chosen. */
export const REGISTRY: readonly Lowering[] = [keepOperator, keepInBlocks, expand, atPattern, native];

/** Each takes some calls beside the one chosen, wherever it can. */
export const COMPANIONS = [decodeStep, documents] as const;
