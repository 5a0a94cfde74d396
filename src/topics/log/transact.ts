// A transaction over several entities: messages that are sent and messages that are settled, all of it or nothing. The
// appends, the completions and the held rows are one database transaction, fenced like any of them on its own.
// Messages that another node owns cannot be in it: their locks are checked before, and they are settled after it. A crash
// in between delivers them again. What is given back is given back after it, too: nothing is lost by that.
import { Refusal } from '../../kit/refusal.ts';
import type { TopicEntry } from '../entities/catalogue.ts';
import type { OutgoingMessage, Receipt } from '../message.ts';
import type { Cursor } from '../owner/cursor.ts';
import { appendIn, type Change, type Progress } from '../owner/progress.ts';
import type { Receiver } from '../receive/receiver.ts';
import type { Enlisted } from '../receive/seat.ts';
import type { Settlement } from '../receive/settle.ts';
import type { Publisher } from './publish.ts';

export type SettleStep = {
  readonly receiver: Receiver;
  /** Lock tokens. */
  readonly tokens: readonly string[];
  readonly how: Settlement;
};

export type SendStep = { readonly topic: TopicEntry; readonly messages: readonly OutgoingMessage[] };

type Deps = { readonly publisher: Publisher; readonly progress: Progress };

/** Resolves when all of it is durable. Throws `lock_lost`, and changes nothing, when a lock is not held any more. */
export async function transact(
  { publisher, progress }: Deps,
  sends: readonly SendStep[],
  settles: readonly SettleStep[],
): Promise<Receipt[]> {
  const { near, far } = await enlist(settles);
  for (const { receiver, tokens } of far) await receiver.renewLock(tokens);
  if (!near.every((each) => each.held())) throw new Refusal('lock_lost', 'A lock is lost; nothing was changed.');
  const commit = Promise.withResolvers<void>();
  commit.promise.catch(() => {}); // Where every step was refused nobody waits for it.
  const changes: { readonly cursor: Cursor; readonly change: Change }[] = [];
  const settling = near.map(({ cursor, settle }) =>
    settle((change) => {
      changes.push({ cursor, change });
      return commit.promise;
    }),
  );
  const settled = Promise.allSettled(settling);
  try {
    // Each of them has recorded by now, unless it was refused.
    if (changes.length < near.length) await Promise.race(settling);
    if (changes.some(({ change }) => change.held)) await progress.heldWritten();
    const write = publisher.publishAll(sends, async (sql) => {
      for (const { cursor, change } of changes) await appendIn(sql, cursor, change);
    });
    const receipts = await progress.track(write);
    commit.resolve();
    await settled;
    await Promise.all(far.map(({ receiver, tokens, how }) => receiver.trySettle(tokens, how)));
    return receipts;
  } catch (error) {
    commit.reject(error);
    await settled;
    throw error;
  }
}

async function enlist(settles: readonly SettleStep[]): Promise<{ near: Enlisted[]; far: SettleStep[] }> {
  const near: Enlisted[] = [];
  const far: SettleStep[] = [];
  for (const step of settles) {
    const enlisted = step.how.kind === 'abandon' ? undefined : await step.receiver.enlist(step.tokens, step.how);
    if (enlisted) near.push(...enlisted);
    else far.push(step);
  }
  return { near, far };
}
