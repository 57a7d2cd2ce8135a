import { defineConfig } from 'vitest/config';

/** Tests lie beside their source. Workers are few because ONNX Runtime sessions bring threads of their own. */
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
  },
});
