import { defineConfig } from 'vitest/config';

const common = { globalSetup: ['test/support/postgres.ts'], testTimeout: 30_000, hookTimeout: 60_000 };

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          ...common,
          name: 'rooms',
          include: ['src/**/*.test.ts', 'scripts/**/*.test.ts', 'web/**/*.test.ts', 'test/conformance/**/*.test.ts'],
        },
      },
      {
        test: {
          ...common,
          name: 'whole',
          include: ['test/{interop,faults,browser,docs}/**/*.test.ts'],
          testTimeout: 180_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
