/** What evaluation needs to know of an intervention. */
import type { Intervention } from '../../hooks/model/index.ts';

/** What the runner needs of a specification. */
export interface EvalIntervention extends Pick<Intervention, 'hash' | 'toJSON'> {
  /** What its kind needs of a request; absent: nothing. */
  readonly needs?: readonly string[];
}

/** Whether an intervention or a kind acts on the documents of a prompt. */
export const needsDocuments = ({ needs = [] }: { needs?: readonly string[] }): boolean =>
  needs.includes('document-spans');
