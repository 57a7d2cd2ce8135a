// Turns vitest's JSON report and the number of failed steps into what was skipped and why, the closing line and the exit code of
// .ci/run. The reason stands in the name of a test or of a suite around it: "… [skipped: reason]"; one without fails.
import { readFileSync } from 'node:fs';

const REASON = /\[skipped: (.*?)\]/;
const SKIPPED = new Set(['skipped', 'pending', 'todo', 'disabled']);

const [, , path, failedSteps] = process.argv;
let passed = 0;
let skipped = 0;
let failed = Number(failedSteps);
try {
  const report = JSON.parse(readFileSync(path, 'utf8'));
  passed = report.numPassedTests;
  failed += report.numFailedTests;
  // A suite that breaks while loading has no tests to count.
  failed += report.testResults.filter(
    (suite) => suite.status === 'failed' && suite.assertionResults.length === 0,
  ).length;
  for (const { name, assertionResults } of report.testResults) {
    const reasons = new Map();
    for (const { fullName, status } of assertionResults) {
      if (!SKIPPED.has(status)) continue;
      const reason = REASON.exec(fullName)?.[1];
      if (reason === undefined) {
        failed += 1;
        console.log(`FAILED: skipped without a reason: ${fullName}`);
        continue;
      }
      skipped += 1;
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
    const file = name.replace(`${process.cwd()}/`, '');
    for (const [reason, count] of reasons) console.log(`skipped: ${count} of ${file}: ${reason}`);
  }
} catch (error) {
  console.error(`no test report: ${error.message}`);
  failed += 1;
}
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
