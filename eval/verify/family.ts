/** A family of golden cases: how to read them and how to compute them with a model. Families are rows of a table. */
import type { z } from 'zod';
import type { InterventionKind } from '../../hooks/model/index.ts';
import { fitGolden } from './golden.ts';
import type { Subject } from './subject.ts';

export interface Comparison {
  readonly case: string;
  readonly maxAbsError: number;
  readonly tolerance: number;
}

export interface Family {
  /** Key of the golden file. */
  readonly name: string;
  /** Interventions it uses. */
  readonly kinds: readonly InterventionKind[];
  /** @throws AttuneError GOLDEN_MALFORMED */
  compare(content: unknown, subject: Subject): AsyncIterable<Comparison>;
}

export function defineFamily<S extends z.ZodType>(definition: {
  readonly name: string;
  readonly schema: S;
  readonly kinds?: readonly InterventionKind[];
  compare(content: z.output<S>, subject: Subject): AsyncIterable<Comparison>;
}): Family {
  const { name, schema, kinds = [] } = definition;
  return {
    name,
    kinds,
    compare: (content, subject) => definition.compare(fitGolden(schema, content, name), subject),
  };
}
