// The handler turns events into notices. It is a consumer like any other: on each topic that a notification names it has
// the subscription `carillon-handler`. A batch goes through four steps, the first and the third without the database:
//   match (match.ts)  which notifications, which audience      -> or the event is refused
//   learn (learn.ts)  who these people are, what they want, where they can be reached
//   draft (draft.ts)  what each person wanted and is told      -> or the event is refused
//   write (write.ts)  notices, inbox, deliveries, trace, in the transaction that completes the batch
// Audiences whose size is not the event's (a rule, everyone) are only noted in that transaction; walker.ts goes through
// the people afterwards.
// A refused event is dead-lettered with its cause and holds nobody up. What follows after the commit (open streams, the
// dispatcher) may be lost with the process: streams resume by position, and the dispatcher finds what is due.
import type { InboxStream } from '../inbox/stream.ts';
import type { Database } from '../kit/database.ts';
import type { Emit } from '../kit/signals.ts';
import type { Broker } from '../topics/broker.ts';
import type { Message } from '../topics/message.ts';
import type { Batch, Consumer, Verdict } from '../topics/receive/consume.ts';
import { type Drafted, draftEvent } from './draft.ts';
import type { Finders } from './endpoints.ts';
import { learn } from './learn.ts';
import { matchMessage, type Refused } from './match.ts';
import type { Definitions } from './notification.ts';
import { AudienceWalker, type WalkSignal } from './walker.ts';
import { Doubtful, fitAtOnce, type Written, writeAtOnce, writeEvents } from './write.ts';

export const HANDLER_SUBSCRIPTION = 'carillon-handler';

export type HandlerSignal =
  | {
      readonly name: 'handler.batch';
      readonly topic: string;
      readonly events: number;
      readonly notices: number;
      readonly deliveries: number;
      readonly tookMs: number;
    }
  | {
      readonly name: 'handler.refused';
      readonly topic: string;
      readonly sequence: number;
      readonly reason: Refused['reason'];
      readonly description: string;
    }
  | WalkSignal;

export type HandlerDeps = {
  readonly database: Database;
  readonly broker: Pick<Broker, 'ensureSubscription' | 'consume'>;
  readonly definitions: Definitions;
  /** Who knows where people can be reached; a channel that is left out reaches nobody. */
  readonly finders: Finders;
  readonly inbox: Pick<InboxStream, 'appended'>;
  /** Called after deliveries were committed: `Dispatcher.wake`. */
  readonly wake: () => void;
  /** Called after questions were withdrawn: `Decisions.wake`. */
  readonly settled?: (() => void) | undefined;
  readonly emit: Emit<HandlerSignal>;
};

export type HandlerSettings = { readonly maxBatch: number };

/**
 * Makes the subscriptions of the handler on topics that are there. Call it before anybody can publish: an event that is
 * accepted before its topic has the subscription is never handled.
 */
export async function subscribeHandler(
  broker: Pick<Broker, 'ensureSubscription'>,
  definitions: Definitions,
): Promise<void> {
  for (const topic of topicsOf(definitions)) await broker.ensureSubscription(topic, HANDLER_SUBSCRIPTION);
}

export class Handler {
  readonly #deps: HandlerDeps;
  readonly #consumers: Consumer[] = [];
  readonly #walker: AudienceWalker;

  private constructor(deps: HandlerDeps) {
    this.#deps = deps;
    this.#walker = new AudienceWalker(deps);
  }

  /** The topics must be there. Handles what was published since its subscription exists. */
  static async start(deps: HandlerDeps, settings: Partial<HandlerSettings> = {}): Promise<Handler> {
    const handler = new Handler(deps);
    handler.#walker.start();
    try {
      await subscribeHandler(deps.broker, deps.definitions);
      for (const topic of topicsOf(deps.definitions)) await handler.#consume(topic, settings);
    } catch (error) {
      await handler.stop();
      throw error;
    }
    return handler;
  }

  /** Lets the batches under way end. */
  async stop(): Promise<void> {
    await Promise.all([this.#walker.stop(), ...this.#consumers.splice(0).map((consumer) => consumer.stop())]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #consume(topic: string, { maxBatch = 500 }: Partial<HandlerSettings>): Promise<void> {
    const { broker } = this.#deps;
    const options = { maxMessages: maxBatch };
    this.#consumers.push(await broker.consume(topic, HANDLER_SUBSCRIPTION, options, (batch) => this.#handle(batch)));
  }

  async #handle(batch: Batch): Promise<void> {
    const began = performance.now();
    const now = new Date();
    const drafted = await draftBatch(this.#deps, batch.messages, now);
    const written = await commit(batch, drafted, now);
    this.#deps.inbox.appended(written.appended);
    if (written.deliveries > 0) this.#deps.wake();
    if (written.walks > 0) this.#walker.wake();
    if (written.withdrawn > 0) this.#deps.settled?.();
    this.#tell(batch, written, performance.now() - began);
  }

  #tell({ topic, messages }: Batch, { appended, refused, deliveries }: Written, tookMs: number): void {
    const { emit } = this.#deps;
    emit({ name: 'handler.batch', topic, events: messages.length, notices: appended.length, deliveries, tookMs });
    for (const { message, reason, description } of refused) {
      emit({ name: 'handler.refused', topic, sequence: message.sequence, reason, description });
    }
  }
}

/** The steps before the transaction. */
export async function draftBatch(
  deps: Pick<HandlerDeps, 'database' | 'definitions' | 'finders'>,
  messages: readonly Message[],
  now: Date,
): Promise<(Drafted | Refused)[]> {
  const events = messages.map((message) => matchMessage(message, deps.definitions));
  const known = await deps.database.session((sql) => learn(sql, deps, events, now));
  return events.map((event) => (event.kind === 'matched' ? draftEvent(event, known) : event));
}

async function commit(batch: Batch, events: readonly (Drafted | Refused)[], now: Date): Promise<Written> {
  if (fitAtOnce(events)) {
    try {
      const verdicts = events.flatMap((event) => (event.kind === 'refused' ? [verdictOn(event)] : []));
      return await batch.commitAtOnce(verdicts, (tx) => writeAtOnce(tx, events, now));
    } catch (error) {
      if (!(error instanceof Doubtful)) throw error;
    }
  }
  let written: Written | undefined;
  await batch.commit(async (tx) => {
    written = await writeEvents(tx, events, now);
    return written.refused.map(verdictOn);
  });
  return written!;
}

function verdictOn({ message, reason, description }: Refused): Verdict {
  return { sequence: message.sequence, verdict: 'deadLetter', reason, description };
}

function topicsOf({ all }: Definitions): Set<string> {
  return new Set(all.map((definition) => definition.topic));
}
