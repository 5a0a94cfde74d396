// Edits cards where they stand: a decision, an expiry or a recall shows on every surface that has the card. What is due
// is in the database, so a crash delays an edit and loses none; whoever asks for one wakes the editor after the commit.
import { findNotices } from '../inbox/notice.ts';
import { backoffMs } from '../kit/backoff.ts';
import type { Database } from '../kit/database.ts';
import type { Emit } from '../kit/signals.ts';
import { findRecipients } from '../people/recipients.ts';
import type { ConversationSignal, FindDecisions } from './channel.ts';
import { claimEdits, type DueEdit, type EditVerdict, nextEdit, settleEdits } from './posted.ts';
import type { Edit, Poster, Result } from './poster.ts';
import { markReference } from './references/references.ts';

export type EditorDeps = {
  readonly database: Database;
  readonly posters: readonly Poster[];
  readonly decisionsOf: FindDecisions;
  readonly emit: Emit<ConversationSignal>;
  /** This run of the node, see kit/run.ts. */
  readonly run?: number | undefined;
};

const AT_ONCE = 100;
const LEASE_MS = 60_000;
const POLL_MS = 10_000;
const BACKOFF = { baseMs: 1_000, capMs: 5 * 60_000 };
/** About an hour and a half. */
const MOST_FAILURES = 24;

export class CardEditor {
  readonly #deps: EditorDeps;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: EditorDeps) {
    this.#deps = deps;
  }

  /** Begins with what an earlier run has left. */
  start(): void {
    this.wake();
  }

  /** Something is due. Cheap to call often. */
  wake(): void {
    if (this.#stopped) return;
    if (this.#running) this.#again = true;
    else this.#running = this.#work().finally(() => this.#ended());
  }

  /** Lets what is under way end. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #work(): Promise<void> {
    let waitMs = POLL_MS;
    try {
      do {
        this.#again = false;
        while (!this.#stopped && (await this.#round()) === AT_ONCE);
      } while (this.#again && !this.#stopped);
      const next = await nextEdit(this.#deps.database);
      if (next) waitMs = Math.min(Math.max(next.getTime() - Date.now(), 10), POLL_MS);
    } catch (error) {
      this.#deps.emit({ name: 'conversation.edit-failed', error });
      waitMs = 1_000;
    }
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(() => this.wake(), waitMs).unref();
  }

  #ended(): void {
    this.#running = undefined;
    if (this.#again) this.wake();
  }

  async #round(): Promise<number> {
    const { database, posters, decisionsOf, run } = this.#deps;
    const now = new Date();
    const due = await claimEdits(database, AT_ONCE, now, new Date(now.getTime() + LEASE_MS), run);
    if (due.length === 0) return 0;
    const keys = due.map(({ card }) => card);
    const ids = [...new Set(keys.map(({ noticeId }) => noticeId))];
    const people = [...new Set(keys.map(({ recipientId }) => recipientId))];
    const [notices, decisions, readers] = await Promise.all([
      findNotices(database, keys),
      decisionsOf(database, ids),
      findRecipients(database, people),
    ]);
    const groups = Map.groupBy(due, ({ card }) => card.channel);
    await Promise.all(
      [...groups].map(async ([surface, group]) => {
        const poster = posters.find((each) => each.surface === surface);
        const edits = group.flatMap((each): { due: DueEdit; edit: Edit }[] => {
          const { noticeId, activityId, postedAt } = each.card;
          const notice = notices.get(noticeId);
          if (!poster || !notice || activityId === undefined || each.reference.state !== 'ok') return [];
          const reader = readers.get(each.card.recipientId);
          const decision = notice.recalledAt ? undefined : decisions.get(noticeId);
          const content = { notice, decision, reader };
          return [{ due: each, edit: { reference: each.reference, content, activityId, postedAt } }];
        });
        const results = edits.length === 0 ? [] : await poster!.edit(edits.map(({ edit }) => edit));
        await this.#settle(group, new Map(edits.map(({ due }, i) => [due, results[i]!])));
      }),
    );
    return due.length;
  }

  async #settle(group: readonly DueEdit[], results: ReadonlyMap<DueEdit, Result>): Promise<void> {
    const { database } = this.#deps;
    // A message that is gone says nothing about its place.
    for (const [{ reference }, result] of results)
      if (result.kind === 'blocked') await markReference(database, reference, 'blocked', result.cause);
    await settleEdits(
      database,
      group.map((due) => [due, verdictOf(due, results.get(due))]),
    );
  }
}

function verdictOf({ failures }: DueEdit, result: Result | undefined): EditVerdict {
  switch (result?.kind) {
    case undefined:
      return { cause: 'out_of_reach', failures: 0 };
    case 'posted':
      return { editedAt: new Date(), failures: 0 };
    case 'paced':
      return { dueAt: later(result.retryAfterMs), failures };
    case 'blocked':
    case 'gone':
      return { cause: result.cause, failures: 0 };
    case 'refused':
      return { cause: result.cause, failures: failures + 1 };
    case 'retry':
    case 'stopped':
      return again(result.cause, result.retryAfterMs, failures + 1);
  }
}

function again(cause: string, retryAfterMs: number | undefined, failures: number): EditVerdict {
  if (failures >= MOST_FAILURES) return { cause, failures };
  return { dueAt: later(retryAfterMs ?? backoffMs(failures, BACKOFF, Math.random())), cause, failures };
}

function later(ms: number): Date {
  return new Date(Date.now() + ms);
}
