// Turns vitest's JSON report and the number of failed steps into the closing line and the exit code of .ci/run.
import { readFileSync } from 'node:fs';

const [, , path, failedSteps] = process.argv;
let passed = 0;
let failed = Number(failedSteps);
try {
  const report = JSON.parse(readFileSync(path, 'utf8'));
  passed = report.numPassedTests;
  failed += report.numFailedTests;
  // A suite that breaks while loading has no tests to count.
  failed += report.testResults.filter(
    (suite) => suite.status === 'failed' && suite.assertionResults.length === 0,
  ).length;
} catch (error) {
  console.error(`no test report: ${error.message}`);
  failed += 1;
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
