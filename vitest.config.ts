import { defineConfig } from 'vitest/config';

/**
 * Tests lie beside their source. Two workers, because ONNX Runtime sessions bring threads of their own. The files of a worker share
 * its modules, whose loading would otherwise take as long as many of the tests: a test undoes what it changes of them.
 */
export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['node_modules/**', 'dist/**'],
    setupFiles: ['./vitest.setup.ts'],
    // Against tests without end only: on a busy machine any test may take many times as long as at rest.
    testTimeout: 1_800_000,
    hookTimeout: 1_800_000,
    maxWorkers: 2,
    pool: 'forks',
    isolate: false,
  },
});
