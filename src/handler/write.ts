// Last step of the handler: everything that follows from a batch of events, written in the transaction that completes
// the batch, with one statement per table.
import { openQuestions } from '../assistant/decisions/question.ts';
import { replaceQuestions } from '../assistant/decisions/withdraw.ts';
import { planDeliveries } from '../deliveries/plan.ts';
import { type TraceRow, writeTrace } from '../deliveries/trace.ts';
import { type Appended, insertNewNotices, insertNotices, placeNotices } from '../inbox/append.ts';
import { sqlState, type Tx } from '../kit/database.ts';
import type { Draft, Drafted } from './draft.ts';
import type { Refused } from './match.ts';
import { rowOfRefused } from './trace-rows.ts';
import { startWalks } from './walk.ts';

export type Written = {
  readonly appended: readonly Appended<Draft>[];
  readonly refused: readonly Refused[];
  readonly deliveries: number;
  /** Audiences that a walker has to go through. */
  readonly walks: number;
  /** Earlier questions that are no longer asked. */
  readonly withdrawn: number;
};

/**
 * Writes what follows from `events` in the belief that all notices are new and that PostgreSQL takes all the data. Makes
 * all its statements before it first waits. Throws `Doubtful` when the belief was wrong.
 */
export async function writeAtOnce(tx: Tx, events: readonly (Drafted | Refused)[], now: Date): Promise<Written> {
  const { drafts, trace, matched, refused } = partsOf(events, now);
  try {
    // In this order: of a notice that is there already what follows may be there too, and would fail for itself. And not
    // `together`: what fails without an answer has to be known before the commit is on its way.
    const [, followed, walks] = await Promise.all([
      insertNewNotices(tx, drafts),
      writeFollowing(tx, drafts, trace),
      startWalks(tx, matched, now),
    ]);
    return { ...followed, refused, walks, withdrawn: 0 };
  } catch (error) {
    throw isRefusedData(error) ? new Doubtful() : error;
  }
}

/** Whether `writeAtOnce` can write them: to replace earlier questions takes an answer. */
export function fitAtOnce(events: readonly (Drafted | Refused)[]): boolean {
  return events.every((each) => each.kind === 'refused' || each.replaces.length === 0);
}

/** Nothing was written; `writeEvents` finds out what is there already and what cannot be stored. */
export class Doubtful extends Error {}

/**
 * Writes what follows from `events`. Data that PostgreSQL refuses makes it go through the events one by one, so that only
 * the one that carries it is refused. Other errors are thrown: the transaction is lost and the batch comes again.
 */
export async function writeEvents(tx: Tx, events: readonly (Drafted | Refused)[], now: Date): Promise<Written> {
  const whole = await writeStorable(tx, events, now);
  if (!(whole instanceof Unstorable)) return whole;
  const parts: Written[] = [];
  for (const event of events) {
    const part = await writeStorable(tx, [event], now);
    parts.push(part instanceof Unstorable ? await writeRefused(tx, [notStorable(event, part)], now) : part);
  }
  return {
    appended: parts.flatMap((part) => part.appended),
    refused: parts.flatMap((part) => part.refused),
    deliveries: parts.reduce((sum, part) => sum + part.deliveries, 0),
    walks: parts.reduce((sum, part) => sum + part.walks, 0),
    withdrawn: parts.reduce((sum, part) => sum + part.withdrawn, 0),
  };
}

function writeStorable(tx: Tx, events: readonly (Drafted | Refused)[], now: Date): Promise<Written | Unstorable> {
  return inSavepoint(tx, async () => {
    const { drafts, trace, matched, refused, replaces } = partsOf(events, now);
    const [written, walks] = await together([writeDrafts(tx, drafts, trace), startWalks(tx, matched, now)]);
    // After the questions of these events are open: of two events of one batch the later one counts.
    return { ...written, refused, walks, withdrawn: await replaceQuestions(tx, replaces, now) };
  });
}

function partsOf(events: readonly (Drafted | Refused)[], now: Date) {
  const drafted = events.filter((each) => each.kind === 'drafted');
  const refused = events.filter((each) => each.kind === 'refused');
  return {
    drafts: drafted.flatMap((each) => each.drafts),
    trace: [...drafted.flatMap((each) => each.trace), ...refused.map((each) => rowOfRefused(each, now))],
    matched: drafted.map((each) => each.matched),
    replaces: drafted.flatMap((each) => each.replaces),
    refused,
  };
}

/** Writes the notices that are new, what follows from each of them, and `trace`. */
export async function writeDrafts(
  tx: Tx,
  drafts: readonly Draft[],
  trace: readonly TraceRow[],
): Promise<Pick<Written, 'appended' | 'deliveries'>> {
  return writeFollowing(tx, await insertNotices(tx, drafts), trace);
}

/** What follows from new notices. One round trip: nothing of it waits for the rest. */
async function writeFollowing(
  tx: Tx,
  fresh: readonly Draft[],
  trace: readonly TraceRow[],
): Promise<Pick<Written, 'appended' | 'deliveries'>> {
  const plans = fresh.flatMap((draft) => draft.plans);
  const [appended] = await Promise.all([
    placeNotices(tx, fresh),
    planDeliveries(tx, plans),
    writeTrace(tx, [...trace, ...fresh.flatMap((draft) => draft.trace)]),
    openQuestions(
      tx,
      fresh.flatMap(({ ask }) => ask ?? []),
    ),
  ]);
  return { appended, deliveries: plans.length };
}

/**
 * Waits for all of `parts`, also when one fails: nothing of a failed part may be on its way when its savepoint is rolled
 * back. Throws what the first of them failed from, in their order; those that failed only because the transaction was
 * aborted by then (SQLSTATE 25P02) do not count.
 */
async function together<T extends readonly unknown[]>(parts: { readonly [K in keyof T]: Promise<T[K]> }): Promise<T> {
  const settled = await Promise.allSettled(parts);
  const failures = settled.flatMap((part) => (part.status === 'rejected' ? [part.reason as unknown] : []));
  if (failures.length > 0) throw failures.find((reason) => sqlState(reason) !== '25P02') ?? failures[0];
  return settled.map((part) => (part as PromiseFulfilledResult<unknown>).value) as unknown as T; // true: none has failed
}

class Unstorable {
  readonly words: string;

  constructor(words: string) {
    this.words = words;
  }
}

/** SQLSTATE 22, 23, 54: the data is to blame. */
function isRefusedData(error: unknown): boolean {
  return /^(22|23|54)/.test(sqlState(error) ?? '');
}

/** Runs `work`; data that PostgreSQL refuses undoes it and is returned: the transaction lives on. */
async function inSavepoint<T>(tx: Tx, work: () => Promise<T>): Promise<T | Unstorable> {
  // Not waited for: the first statement of the work travels with it.
  const set = tx.query('savepoint handler');
  try {
    const [result] = await together([work(), set]);
    return result;
  } catch (error) {
    if (!isRefusedData(error)) throw error;
    await tx.query('rollback to savepoint handler');
    return new Unstorable((error as Error).message); // true: sqlState has found one of PostgreSQL's errors
  }
}

function notStorable(event: Drafted | Refused, { words }: Unstorable): Refused {
  const from = event.kind === 'refused' ? event : { message: event.matched.message, eventId: event.matched.event.id };
  const about = { message: from.message, eventId: from.eventId, notification: undefined };
  return { kind: 'refused', ...about, reason: 'EventNotStorable', description: words };
}

async function writeRefused(tx: Tx, refused: readonly Refused[], now: Date): Promise<Written> {
  await writeTrace(
    tx,
    refused.map((each) => rowOfRefused(each, now)),
  );
  return { appended: [], refused, deliveries: 0, walks: 0, withdrawn: 0 };
}
