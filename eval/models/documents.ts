/**
 * Interventions that act on the documents of a prompt (their kind needs 'document-spans') get them request by request: a
 * specification says how to treat documents, an item which tokens these are. The contract with a kind: its parameter
 * `documents` is optional, a list of [from, to) token positions of the row, and without it the model is the baseline.
 */
import { AttuneError } from '../../errors.ts';
import type { Intervention } from '../../hooks/model/index.ts';
import { interventionFromJSON } from '../../interventions/index.ts';
import type { TokenSpan } from '../scoring/language-model.ts';
import { needsDocuments } from './needs.ts';

/**
 * The specifications for one request. Those that give their documents themselves keep them.
 * @param documents those of the request's prompt.
 * @param length of the request in tokens, and the most that are not cut off at the left.
 * @throws AttuneError SCORE_NO_DOCUMENTS; SCORE_TOO_LONG, since what is cut off would move the documents.
 */
export function onDocuments(
  interventions: readonly Intervention[],
  documents: readonly TokenSpan[] | undefined,
  length: { tokens: number; room: number },
): Intervention[] {
  return interventions.map((one) => {
    if (!needsDocuments(one.kind) || one.spec.documents !== undefined) return one;
    if (documents === undefined) {
      throw new AttuneError('SCORE_NO_DOCUMENTS', {
        at: one.intervention,
        found: 'a prompt without interchangeable parts',
        expected: 'parts to act on',
      });
    }
    if (length.tokens > length.room) {
      throw new AttuneError('SCORE_TOO_LONG', {
        at: one.intervention,
        found: `${length.tokens} tokens`,
        expected: `at most the model's ${length.room}, since documents that are cut off cannot be placed`,
      });
    }
    return interventionFromJSON({ ...one.toJSON(), documents });
  });
}
