/**
 * How many cases a test of random cases, races or kills has. By default as many as reach every branch; ATTUNE_LONG=10 npm test tries
 * ten times as many, and ATTUNE_SEED others.
 */
const LONG = Number(process.env.ATTUNE_LONG ?? 1);

/** @param usual the number of cases by default */
export const cases = (usual: number): number => Math.ceil(usual * LONG);
