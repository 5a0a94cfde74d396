// Third step of the handler: everything that follows from a batch of events, written in the transaction that completes
// the batch, with one statement per table.
import { openQuestions } from '../assistant/decisions/question.ts';
import { replaceQuestions } from '../assistant/decisions/withdraw.ts';
import { planDeliveries } from '../deliveries/plan.ts';
import { type TraceRow, writeTrace } from '../deliveries/trace.ts';
import { type Appended, insertNotices, placeNotices } from '../inbox/append.ts';
import { sqlState, type Tx } from '../kit/database.ts';
import { ensureRecipients } from '../people/preference-records.ts';
import { type Draft, draftEvent, type Known } from './draft.ts';
import { type Finders, findEndpoints } from './endpoints.ts';
import type { Matched, Refused } from './match.ts';
import type { Definitions } from './notification.ts';
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

export type WriteDeps = { readonly definitions: Definitions; readonly finders: Finders };

/**
 * Writes what follows from `events`. Data that PostgreSQL refuses makes it go through the events one by one, so that only
 * the one that carries it is refused. Other errors are thrown: the transaction is lost and the batch comes again.
 */
export async function writeEvents(
  tx: Tx,
  deps: WriteDeps,
  events: readonly (Matched | Refused)[],
  now: Date,
): Promise<Written> {
  const whole = await inSavepoint(tx, () => writeTogether(tx, deps, events, now));
  if (!(whole instanceof Unstorable)) return whole;
  const parts: Written[] = [];
  for (const event of events) {
    const part = await inSavepoint(tx, () => writeTogether(tx, deps, [event], now));
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

async function writeTogether(
  tx: Tx,
  deps: WriteDeps,
  events: readonly (Matched | Refused)[],
  now: Date,
): Promise<Written> {
  const known = await findOut(tx, deps, events, now);
  const done = events.map((event) => (event.kind === 'matched' ? draftEvent(event, known) : event));
  const drafted = done.filter((each) => each.kind === 'drafted');
  const refused = done.filter((each) => each.kind === 'refused');
  const drafts = drafted.flatMap((each) => each.drafts);
  const trace = [...drafted.flatMap((each) => each.trace), ...refused.map((each) => rowOfRefused(each, now))];
  const [written, walks] = await together([
    writeDrafts(tx, drafts, trace),
    startWalks(
      tx,
      drafted.map(({ matched }) => matched),
      now,
    ),
  ]);
  // After the questions of these events are open: of two events of one batch the later one counts.
  const withdrawn = await replaceQuestions(
    tx,
    drafted.flatMap(({ replaces }) => replaces),
    now,
  );
  return { ...written, refused, walks, withdrawn };
}

/** Writes the notices that are new, what follows from each of them, and `trace`. */
export async function writeDrafts(
  tx: Tx,
  drafts: readonly Draft[],
  trace: readonly TraceRow[],
): Promise<Pick<Written, 'appended' | 'deliveries'>> {
  const fresh = await insertNotices(tx, drafts);
  const plans = fresh.flatMap((draft) => draft.plans);
  // The three do not wait for each other: one trip, and the longest of them is built while the first is carried out.
  const [appended] = await together([
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

/** The people whom the events list and where they can be reached. */
async function findOut(tx: Tx, deps: WriteDeps, events: readonly (Matched | Refused)[], now: Date): Promise<Known> {
  const ids = new Set<string>();
  const channels = new Set<Draft['plans'][number]['channel']>();
  for (const event of events) {
    for (const { definition, audience } of event.kind === 'matched' ? event.wishes : []) {
      if (audience.kind !== 'list') continue;
      for (const id of audience.ids) ids.add(id);
      for (const channel of definition.channels) channels.add(channel);
    }
  }
  const people = await ensureRecipients(tx, [...ids], now);
  const endpoints = await findEndpoints(tx, deps.finders, channels, people);
  return { people, endpoints, categories: deps.definitions.categories, now };
}

/**
 * Waits for all of `parts`, also when one fails: nothing of a failed part may be on its way when its savepoint is rolled
 * back. Throws what failed first; the parts behind it fail only because the transaction is aborted (SQLSTATE 25P02).
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

/** Runs `work`; data that PostgreSQL refuses (SQLSTATE 22, 23, 54) undoes it and is returned, the transaction lives on. */
async function inSavepoint<T>(tx: Tx, work: () => Promise<T>): Promise<T | Unstorable> {
  // Not waited for: the first statement of the work travels with it.
  const set = tx.query('savepoint handler');
  try {
    const [result] = await together([work(), set]);
    return result;
  } catch (error) {
    if (!/^(22|23|54)/.test(sqlState(error) ?? '')) throw error;
    await tx.query('rollback to savepoint handler');
    return new Unstorable((error as Error).message); // true: sqlState has found one of PostgreSQL's errors
  }
}

function notStorable(event: Matched | Refused, { words }: Unstorable): Refused {
  const eventId = event.kind === 'matched' ? event.event.id : event.eventId;
  const about = { message: event.message, eventId, notification: undefined };
  return { kind: 'refused', ...about, reason: 'EventNotStorable', description: words };
}

async function writeRefused(tx: Tx, refused: readonly Refused[], now: Date): Promise<Written> {
  await writeTrace(
    tx,
    refused.map((each) => rowOfRefused(each, now)),
  );
  return { appended: [], refused, deliveries: 0, walks: 0, withdrawn: 0 };
}
