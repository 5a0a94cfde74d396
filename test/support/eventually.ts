// Tests do not sleep: they wait until an assertion holds, or fail with its last error.

/** Repeats `assertion` until it passes, for at most `withinMs` milliseconds. Returns what it returned. */
export async function eventually<T>(assertion: () => T | Promise<T>, withinMs = 30_000): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    try {
      return await assertion();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}
