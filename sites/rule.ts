/**
 * What a graph form is to the recogniser: a row with the operators it starts from and a function that either
 * describes the site, says why it is none, or is not concerned.
 */
import { describeNode, type Node } from '../onnx/index.ts';
import type { Scope } from './scope.ts';
import type { Refusal, Site } from './site.ts';

/** A site before it has its place in the file and in a tower. */
export interface SiteDraft extends Omit<Site, 'index' | 'layer' | 'tower' | 'scope'> {
  /** The activations q and k are projected from: where they differ the attention is cross-attention. */
  readonly sources: { readonly q?: string | undefined; readonly k?: string | undefined };
  /** Limitations the user should know. */
  readonly warnings?: readonly Refusal[] | undefined;
}

export interface Miss {
  readonly node: string;
  readonly reason: string;
}

export interface SiteRule {
  readonly name: string;
  /** Qualified operator names (qualifiedOp) the rule is tried on. */
  readonly anchors: readonly string[];
  match(node: Node, context: RuleContext): SiteDraft | Miss | undefined;
}

export interface RuleContext {
  readonly scope: Scope;
  readonly position: number;
}

export function miss(node: Node, reason: string): Miss {
  return { node: describeNode(node), reason };
}

export function isMiss(result: SiteDraft | Miss): result is Miss {
  return 'reason' in result;
}
