import { defineConfig } from 'vitest/config';

// Longer than what a test waits for (`eventually`), so that a failure is told by the assertion, not by the clock. A test that
// fails is tried once more, and named at the end if it then passes (scripts/test.ts).
const common = {
  globalSetup: ['test/support/postgres.ts'],
  testTimeout: 90_000,
  hookTimeout: 120_000,
  expect: { poll: { timeout: 30_000 } },
  retry: 1,
};

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
          testTimeout: 300_000,
        },
      },
    ],
  },
});
