/** All suites: one folder each, listed here. */
import { AttuneError, nearest } from '../errors.ts';
import { calibrationSuite } from './calibration/suite.ts';
import { decodingSuite } from './decoding/suite.ts';
import { evalSuite } from './eval/suite.ts';
import { graphSuite } from './graph/suite.ts';
import { kernelsSuite } from './kernels/suite.ts';
import { loadSuite } from './load/suite.ts';
import { longContextSuite } from './long-context/suite.ts';
import { nativeSuite } from './native/suite.ts';
import { overheadSuite } from './overhead/suite.ts';
import type { Suite } from './suite.ts';
import { visionSuite } from './vision/suite.ts';

export const SUITES: readonly Suite[] = [
  graphSuite,
  loadSuite,
  overheadSuite,
  kernelsSuite,
  calibrationSuite,
  decodingSuite,
  longContextSuite,
  evalSuite,
  visionSuite,
  nativeSuite,
];

/** @throws AttuneError SUITE_UNKNOWN with the nearest name */
export function findSuite(name: string): Suite {
  const suite = SUITES.find((candidate) => candidate.name === name);
  if (suite) return suite;
  const names = SUITES.map((candidate) => candidate.name);
  throw new AttuneError('SUITE_UNKNOWN', {
    found: `suite "${name}"`,
    expected: names.join(', '),
    hint: `Nearest: ${nearest(name, names, 1)[0]}.`,
  });
}
