// What must happen a few times a day, whoever is awake.
import { keepHistory } from '../deliveries/history.ts';
import type { Database } from '../kit/database.ts';
import type { Emit } from '../kit/signals.ts';

export type HousekeepingSignal = { readonly name: 'housekeeping.failed'; readonly error: unknown };

const EVERY_MS = 6 * 60 * 60_000;

export class Housekeeping {
  readonly #timer: NodeJS.Timeout;
  #running: Promise<void>;

  /** Begins at once. */
  constructor(database: Database, keepDays: number, emit: Emit<HousekeepingSignal>) {
    const run = () =>
      keepHistory(database, { now: new Date(), keepDays }).then(
        () => {},
        (error: unknown) => emit({ name: 'housekeeping.failed', error }),
      );
    this.#running = run();
    this.#timer = setInterval(() => {
      this.#running = run();
    }, EVERY_MS);
  }

  /** Waits for what is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
