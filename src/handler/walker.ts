// Goes through the people of a rule, or through everyone, a chunk per transaction: whom the rule matches, what they want,
// notices, inbox, deliveries, trace, and how far it has come. A crash loses at most the chunk under way, which is done
// again; ids of notices are derived, so nobody gets a second one. The event was complete when the walk was noted, so
// accepting and completing an event costs the same for one person and for a million.
import { type TraceRow, writeTrace } from '../deliveries/trace.ts';
import type { Appended } from '../inbox/append.ts';
import type { InboxStream } from '../inbox/stream.ts';
import { backoffMs } from '../kit/backoff.ts';
import type { Database, Tx } from '../kit/database.ts';
import type { Emit } from '../kit/signals.ts';
import { lookupOfPerson } from '../people/audience.ts';
import { compileCondition } from '../people/condition.ts';
import { type Person, pageOfPeople } from '../people/preference-records.ts';
import { type Draft, draftNotice } from './draft.ts';
import { type Finders, findEndpoints } from './endpoints.ts';
import { lookupOfEvent } from './event-lookup.ts';
import { Failure, type Matched } from './match.ts';
import type { Defined, Definitions } from './notification.ts';
import { rowAbout, rowAsAWhole, rowOfFailure } from './trace-rows.ts';
import { advanceWalk, claimWalk, endWalk, postponeWalk, type Walk } from './walk.ts';
import { writeDrafts } from './write.ts';

export type WalkSignal =
  | {
      readonly name: 'handler.walked';
      readonly topic: string;
      readonly notification: string;
      readonly people: number;
      readonly notices: number;
      readonly deliveries: number;
      readonly done: boolean;
    }
  | { readonly name: 'handler.walk-failed'; readonly error: unknown; readonly retryInMs: number };

export type WalkerDeps = {
  readonly database: Database;
  readonly definitions: Definitions;
  readonly finders: Finders;
  readonly inbox: Pick<InboxStream, 'appended'>;
  readonly wake: () => void;
  readonly emit: Emit<WalkSignal>;
};

const CHUNK = 500;
const POLL_MS = 5_000;
const RETRY = { baseMs: 1_000, capMs: 60_000 };

/** What one chunk came to. */
type Chunk = {
  readonly walk: Walk;
  readonly people: number;
  readonly appended: readonly Appended<Draft>[];
  readonly deliveries: number;
  readonly done: boolean;
};

export class AudienceWalker {
  readonly #deps: WalkerDeps;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #wake: (() => void) | undefined;

  constructor(deps: WalkerDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** There may be a walk to go. */
  wake(): void {
    this.#wake?.();
  }

  /** Lets the chunk under way end. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      if (!(await this.#step())) await this.#pause();
    }
  }

  /** Goes one chunk; false when there is nothing to do now. */
  async #step(): Promise<boolean> {
    let claimed: Walk | undefined;
    try {
      const chunk = await this.#deps.database.transaction(async (tx) => {
        const now = new Date();
        claimed = await claimWalk(tx, now);
        return claimed && walkChunk(tx, this.#deps, claimed, now);
      });
      if (chunk) this.#tell(chunk);
      return chunk !== undefined;
    } catch (error) {
      await this.#failed(claimed, error);
      return false;
    }
  }

  #tell({ walk, people, appended, deliveries, done }: Chunk): void {
    const { inbox, wake, emit } = this.#deps;
    inbox.appended(appended);
    if (deliveries > 0) wake();
    const { topic, notification } = walk;
    emit({ name: 'handler.walked', topic, notification, people, notices: appended.length, deliveries, done });
  }

  async #failed(walk: Walk | undefined, error: unknown): Promise<void> {
    const retryInMs = Math.round(backoffMs((walk?.failures ?? 0) + 1, RETRY, Math.random()));
    this.#deps.emit({ name: 'handler.walk-failed', error, retryInMs });
    if (!walk) return;
    // If this fails as well the database is away: the walk stays due and is tried again after the pause.
    await postponeWalk(this.#deps.database, walk.id, new Date(Date.now() + retryInMs)).catch(() => {});
  }

  #pause(): Promise<void> {
    if (this.#stop.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), POLL_MS).unref();
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }
}

async function walkChunk(tx: Tx, deps: WalkerDeps, walk: Walk, now: Date): Promise<Chunk> {
  const definition = deps.definitions.all.find(({ name }) => name === walk.notification);
  if (!definition) return abandon(tx, walk, now);
  const page = await pageOfPeople(tx, walk.afterId, CHUNK);
  const people = concerned(page, walk.condition);
  const { drafts, trace } = await draftPeople(tx, deps, { walk, definition, people, now });
  const written = await writeDrafts(tx, drafts, trace);
  const done = page.length < CHUNK;
  const chunk = { walk, people: people.size, ...written, done };
  if (done) await Promise.all([writeTrace(tx, [rowOfEnd(chunk, now)]), endWalk(tx, walk.id)]);
  else
    await advanceWalk(
      tx,
      walk,
      { afterId: page.at(-1)!.id, people: people.size, notices: written.appended.length },
      now,
    );
  return chunk;
}

function concerned(page: readonly Person[], condition: string | null): Map<string, Person> {
  const filter = condition === null ? undefined : compileCondition(condition);
  const people = page.filter((person) => filter === undefined || filter.matches(lookupOfPerson(person)));
  return new Map(people.map((person) => [person.id, person]));
}

type Work = {
  readonly walk: Walk;
  readonly definition: Defined;
  readonly people: ReadonlyMap<string, Person>;
  readonly now: Date;
};

/** Here the event is long complete: content that fails for a person is told in the trace, and the others get theirs. */
async function draftPeople(tx: Tx, deps: WalkerDeps, { walk, definition, people, now }: Work) {
  const endpoints = await findEndpoints(
    tx,
    deps.finders,
    new Set(definition.channels),
    [...people.keys()],
    Promise.resolve(people),
  );
  const known = { people, endpoints, categories: deps.definitions.categories, now };
  const matched = matchedOf(walk);
  const drafts: Draft[] = [];
  const trace: TraceRow[] = [];
  for (const person of people.values()) {
    const draft = draftNotice(matched, definition, person, known);
    if (draft instanceof Failure)
      trace.push(rowOfFailure(rowAbout(matched, definition.name, person.id, now), draft.words));
    else if ('notice' in draft) drafts.push(draft);
    else trace.push(draft);
  }
  return { drafts, trace };
}

function matchedOf({ topic, partition, sequence, event, request }: Walk): Matched {
  const message = { messageId: event.id, ...request, topic, partition, sequence };
  return { kind: 'matched', message, event, lookup: lookupOfEvent(event), wishes: [], faults: [] };
}

/** The notification is no longer defined: there is nobody who could say what to tell. */
async function abandon(tx: Tx, walk: Walk, now: Date): Promise<Chunk> {
  const told = ['audience', 'refused', 'The notification is no longer defined.'] as const;
  await writeTrace(tx, [rowAsAWhole(matchedOf(walk), walk.notification, told, now)]);
  await endWalk(tx, walk.id);
  return { walk, people: 0, appended: [], deliveries: 0, done: true };
}

function rowOfEnd({ walk, people, appended }: Chunk, now: Date): TraceRow {
  const detail = `${walk.people + people} people, ${walk.notices + appended.length} new notices`;
  return rowAsAWhole(matchedOf(walk), walk.notification, ['audience', 'walked', detail], now);
}
