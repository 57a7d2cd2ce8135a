/** Checks by name: a line for each, with its time, the reason it was skipped, or what is wrong. */

let passed = 0;
let failed = 0;

/** @param work returns why it was not done, or nothing; throws what is wrong */
export async function check(name: string, work: () => Promise<string | undefined>): Promise<void> {
  const begun = performance.now();
  const line = (word: string, rest = '') => console.log(`  ${word.padEnd(8)}${name}${rest}`);
  try {
    const reason = await work();
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    if (reason === undefined) {
      passed++;
      line('ok', ` (${seconds} s)`);
    } else {
      line('skipped', `: ${reason}`);
    }
  } catch (error) {
    failed++;
    line('FAILED', `\n${(error as Error).message}`);
  }
}

/** @returns whether all is well */
export function summary(): boolean {
  console.log(`browser: ${passed} passed, ${failed} failed`);
  return failed === 0;
}
