// Decisions while the server runs: takes answers, and carries out what follows from each: the answer goes to the backend
// that asked, and every surface that shows the card is told. What follows was written with the decision, so a crash in
// between delays it and loses nothing; the answer has an id that duplicate detection knows, so it is there once.
import { writeTrace } from '../../deliveries/trace.ts';
import { backoffMs } from '../../kit/backoff.ts';
import { type Database, statement } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Emit } from '../../kit/signals.ts';
import type { Decision } from '../cards/decision.ts';
import { type Answer, type Decided, decideOnce } from './decide.ts';
import { expireQuestions } from './expire.ts';
import { decisionOf, type QuestionRow } from './question.ts';
import { type Reply, replyOf } from './reply.ts';
import { claimWork, giveUpWork, postponeWork, renewWork, type Work, workDone } from './work.ts';

export type DecisionSignal =
  | { readonly name: 'decision.made'; readonly notification: string; readonly surface: string; readonly tookMs: number }
  | { readonly name: 'decision.refused'; readonly code: string; readonly surface: string }
  | { readonly name: 'decision.replied'; readonly notification: string; readonly attempt: number }
  | { readonly name: 'decision.reply-given-up'; readonly notification: string; readonly cause: string }
  | { readonly name: 'decision.told'; readonly notification: string; readonly notices: number }
  | { readonly name: 'decision.fault'; readonly kind: string; readonly error: unknown; readonly retryInMs: number };

/** A settled question, told to every surface; at most 500 notices at a time, in order of recipient. */
export type Settled = {
  readonly questionId: string;
  readonly notification: string;
  readonly decision: Decision;
  readonly notices: readonly { readonly recipientId: string; readonly noticeId: string }[];
};

/**
 * Called at least once for each settled question, on one node. If it throws, all listeners are called again later, so it
 * must be able to do the same twice.
 */
export type DecidedListener = (settled: Settled) => Promise<void> | void;

export type DecisionsDeps = {
  readonly database: Database;
  /** Publishes the answer; resolves when it is durable. Throws `topic_not_found` and the like. */
  readonly publish: (entity: string, message: Reply['message']) => Promise<void>;
  /** Whether a message of this id was published there since then: asked when an earlier try may have got through. */
  readonly wasPublished: (entity: string, messageId: string, since: Date) => Promise<boolean>;
  readonly emit: Emit<DecisionSignal>;
  /** How often it looks for what nobody woke it for, such as questions whose time is over; 5 s. */
  readonly pollMs?: number | undefined;
  /** This run of the node, see kit/run.ts. */
  readonly run?: number | undefined;
};

const LEASE_MS = 30_000;
const POLL_MS = 5_000;
const CLAIMED = 20;
const TOLD_AT_ONCE = 500;
const RETRY = { baseMs: 1_000, capMs: 60_000 };
/** A backend whose reply queue is not there yet has time to make it; after that somebody must redrive it. */
const GIVE_UP_AFTER_MS = 24 * 60 * 60_000;

const ASKED = statement(
  'decisions.asked',
  `select recipient_id as "recipientId", notice_id as "noticeId" from asked
   where question_id = $1 and recipient_id > $2 order by recipient_id limit $3`,
);

export class Decisions {
  readonly #deps: DecisionsDeps;
  readonly #listeners = new Set<DecidedListener>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #woken = false;
  /** When something that failed is tried again, in ms; the poll finds the rest. */
  #tryAgainAt = Number.POSITIVE_INFINITY;

  constructor(deps: DecisionsDeps) {
    this.#deps = deps;
  }

  /** Begins to carry out what follows from decisions, those of an earlier run first. Add listeners before. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Lets what is under way end. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake?.();
    await this.#running;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Counts an answer, once; see {@link decideOnce} for what it refuses with. */
  async decide(answer: Answer): Promise<Decided> {
    const began = performance.now();
    const { database, emit } = this.#deps;
    try {
      const decided = await decideOnce(database, answer, new Date());
      const { notification } = decided.notice;
      if (decided.fresh)
        emit({ name: 'decision.made', notification, surface: answer.surface, tookMs: performance.now() - began });
      this.wake();
      return decided;
    } catch (error) {
      if (error instanceof Refusal) emit({ name: 'decision.refused', code: error.code, surface: answer.surface });
      throw error;
    }
  }

  /** Returns the function that stops the listening. */
  onDecided(listener: DecidedListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Something was settled: by us, or by whoever wrote it in a transaction of their own. */
  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#woken = false;
      if ((await this.#round()) === 0 && !this.#woken) await this.#pause();
    }
  }

  async #round(): Promise<number> {
    const { database, emit, run } = this.#deps;
    try {
      const now = new Date();
      await expireQuestions(database, now);
      const work = await claimWork(database, now, new Date(now.getTime() + LEASE_MS), CLAIMED, run);
      await Promise.all(work.map((each) => this.#carryOut(each)));
      return work.length;
    } catch (error) {
      emit({ name: 'decision.fault', kind: 'claim', error, retryInMs: POLL_MS });
      return 0; // the database is away: the next poll finds what is due
    }
  }

  async #carryOut(work: Work): Promise<void> {
    const { database, emit } = this.#deps;
    try {
      if (work.kind === 'reply') await this.#reply(work);
      else await this.#tell(work);
    } catch (error) {
      if (work.kind === 'reply' && this.#isHopeless(work, error)) return this.#giveUp(work, error as Error);
      const retryInMs = Math.round(backoffMs(work.attempt, RETRY, Math.random()));
      emit({ name: 'decision.fault', kind: work.kind, error, retryInMs });
      this.#tryAgainAt = Math.min(this.#tryAgainAt, Date.now() + retryInMs + 1);
      // If this fails as well, the lease ends and it is due again.
      await postponeWork(database, work, new Date(Date.now() + retryInMs)).catch(() => {});
    }
  }

  async #reply(work: Work): Promise<void> {
    const { database, publish, wasPublished, emit } = this.#deps;
    const { question } = work;
    const reply = replyOf(question, work.deciderName);
    if (reply) {
      const { entity, message } = reply;
      const there = work.triedAt !== undefined && (await wasPublished(entity, message.messageId, question.settled_at!));
      if (!there) await publish(entity, message);
      await writeReplyTrace(database, question, 'published', `to ${entity}`);
      emit({ name: 'decision.replied', notification: question.notification, attempt: work.attempt });
    }
    await workDone(database, work, new Date());
  }

  #isHopeless({ question }: Work, error: unknown): boolean {
    if (!(error instanceof Refusal)) return false;
    return Date.now() - question.settled_at!.getTime() > GIVE_UP_AFTER_MS;
  }

  async #giveUp(work: Work, error: Error): Promise<void> {
    const { notification } = work.question;
    await giveUpWork(this.#deps.database, work, error.message);
    await writeReplyTrace(this.#deps.database, work.question, 'given up', error.message);
    this.#deps.emit({ name: 'decision.reply-given-up', notification, cause: error.message });
  }

  async #tell(work: Work): Promise<void> {
    const { database, emit } = this.#deps;
    const { question, deciderName } = work;
    const decision = decisionOf(question, deciderName, question.settled_at!);
    let told = 0;
    for (let afterId = work.afterId; ; ) {
      const notices = await database.query<Settled['notices'][number]>(ASKED, [question.id, afterId, TOLD_AT_ONCE]);
      const settled = { questionId: question.id, notification: question.notification, decision, notices };
      if (notices.length > 0) await Promise.all([...this.#listeners].map((listener) => listener(settled)));
      told += notices.length;
      if (notices.length < TOLD_AT_ONCE) break;
      afterId = notices.at(-1)!.recipientId;
      await renewWork(database, { ...work, afterId }, new Date(Date.now() + LEASE_MS));
    }
    await workDone(database, work, new Date());
    emit({ name: 'decision.told', notification: question.notification, notices: told });
  }

  #pause(): Promise<void> {
    if (this.#stop.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const { pollMs = POLL_MS } = this.#deps;
      const waitMs = Math.min(pollMs, Math.max(1, this.#tryAgainAt - Date.now()));
      this.#tryAgainAt = Number.POSITIVE_INFINITY;
      const timer = setTimeout(() => this.#wake?.(), waitMs).unref();
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }
}

async function writeReplyTrace(
  database: Database,
  question: QuestionRow,
  outcome: string,
  detail: string,
): Promise<void> {
  const { topic, partition, sequence, event_id: eventId, notification, notice_id: noticeId } = question;
  const about = { topic, partition, sequence, eventId, notification, noticeId, recipientId: question.decided_by };
  const row = { ...about, step: 'reply', outcome, detail: detail.slice(0, 500), at: new Date() };
  await database.transaction((tx) => writeTrace(tx, [row]));
}
