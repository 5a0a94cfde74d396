// What must happen a few times a day, whoever is awake.
import { keepHistory } from '../deliveries/history.ts';
import { forgetExpiredDevices } from '../hub/dead-devices.ts';
import type { Database } from '../kit/database.ts';
import type { Emit } from '../kit/signals.ts';

export type HousekeepingSignal = { readonly name: 'housekeeping.failed'; readonly error: unknown };

const EVERY_MS = 6 * 60 * 60_000;

export class Housekeeping {
  readonly #timer: NodeJS.Timeout;
  #running: Promise<void>;

  /** Begins at once. */
  constructor(database: Database, keepDays: number, emit: Emit<HousekeepingSignal>) {
    const failed = (error: unknown) => emit({ name: 'housekeeping.failed', error });
    const run = async () => {
      const now = new Date();
      await keepHistory(database, { now, keepDays }).catch(failed);
      await forgetExpiredDevices(database, now).catch(failed);
    };
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
