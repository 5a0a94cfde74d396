// What must happen a few times a day, whoever is awake.
import { forgetOldConversations } from '../assistant/conversations/retention.ts';
import { forgetOldQuestions } from '../assistant/decisions/forget.ts';
import { forgetPosted } from '../assistant/posted.ts';
import { keepHistory } from '../deliveries/history.ts';
import { forgetExpiredDevices } from '../hub/dead-devices.ts';
import { forgetHubHistory } from '../hub/retention.ts';
import { forgetOldNotices } from '../inbox/retention.ts';
import type { Database } from '../kit/database.ts';
import type { Emit } from '../kit/signals.ts';

/** How long things are kept, in days. */
export type KeepFor = { readonly historyDays: number; readonly inboxDays: number; readonly conversationDays: number };

export type HousekeepingSignal = { readonly name: 'housekeeping.failed'; readonly error: unknown };

const EVERY_MS = 6 * 60 * 60_000;

export class Housekeeping {
  readonly #timer: NodeJS.Timeout;
  readonly #stop = new AbortController();
  #running: Promise<void>;

  /** Begins at once. */
  constructor(database: Database, keep: KeepFor, emit: Emit<HousekeepingSignal>) {
    const failed = (error: unknown) => emit({ name: 'housekeeping.failed', error });
    const run = async () => {
      const now = new Date();
      await keepHistory(database, { now, keepDays: keep.historyDays }).catch(failed);
      await forgetOldNotices(database, { now, keepDays: keep.inboxDays, signal: this.#stop.signal }).catch(failed);
      await forgetOldQuestions(database, { now, keepDays: keep.inboxDays, signal: this.#stop.signal }).catch(failed);
      const { conversationDays: keepDays } = keep;
      await forgetOldConversations(database, { now, keepDays, signal: this.#stop.signal }).catch(failed);
      await forgetPosted(database, new Date(now.getTime() - keepDays * 86_400_000)).catch(failed);
      await forgetExpiredDevices(database, now).catch(failed);
      const history = { now, keepDays: keep.historyDays, signal: this.#stop.signal };
      await forgetHubHistory(database, history).catch(failed);
    };
    this.#running = run();
    this.#timer = setInterval(() => {
      this.#running = run();
    }, EVERY_MS);
  }

  /** Waits for what is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort();
    await this.#running;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
