// A client's receiver: hands out messages as far as it has given credit, and hears what becomes of them.
//
//   attach held --session locked, or none needed--> open --credit--> receiving --messages--> sent --disposition--> settled
//                                                     `--drain--> what is there is sent, then the drain is answered
import { Refusal } from '../../kit/refusal.ts';
import type { Broker } from '../../topics/broker.ts';
import type { Received } from '../../topics/receive/received.ts';
import type { Receiver } from '../../topics/receive/receiver.ts';
import { disabled, type Entity, isStopped } from './address.ts';
import * as to from './amqp/encode.ts';
import { echoAttach, filtersOf, linkProperties, sourceWithFilter, type WireLink } from './amqp/link.ts';
import { hook } from './amqp/mend.ts';
import { toWire } from './amqp/outgoing.ts';
import { type EntityRecords, isPartitioned } from './entity-records.ts';
import type { Tell } from './errors.ts';
import { tagOf } from './lock-token.ts';
import { closing, Outflow } from './outflow.ts';
import { type SessionLocks, sessionKey } from './session-locks.ts';
import { Settling } from './settling.ts';
import { ticksOf } from './ticks.ts';
import type { Transactions } from './transactions.ts';

export type DeliverDeps = {
  readonly broker: Broker;
  readonly records: EntityRecords;
  readonly entity: () => Entity;
  readonly sessions: SessionLocks;
  readonly transactions: Transactions;
  readonly tell: Tell;
};

const SESSION_FILTER = 'com.microsoft:session-filter';
const PRESETTLED = 1;
const DEFAULT_SESSION_WAIT_MS = 60_000;

/** Opens the link, whose attach is held, when what it asks for is there. Throws what it is refused with. */
export async function serveDelivery(link: WireLink, deps: DeliverDeps): Promise<void> {
  const entity = deps.entity();
  checkReceivable(entity, filtersOf(link).has(SESSION_FILTER));
  const closed = closing(link);
  const mode = link.remote.attach.snd_settle_mode === PRESETTLED ? 'receiveAndDelete' : 'peekLock';
  const partitioned = await isPartitioned(deps.records, entity.topic);
  if (closed.signal.aborted) return; // The client went away.
  const receiver = await openReceiver(link, deps, entity, mode, closed.signal);
  if (!receiver) return; // The client went away while it waited for a session.
  new Delivery(link, receiver, deps, closed, partitioned).start(entity);
}

function checkReceivable(entity: Entity, wantsSession: boolean): void {
  const { path, topic, subscription, dead } = entity;
  if (!subscription) throw new Refusal('bad_request', `'${topic.name}' is a topic; receive from its subscriptions.`);
  const needsSession = subscription.settings.requiresSession && !dead;
  if (needsSession && !wantsSession)
    throw new Refusal(
      'conflict',
      'It is not possible for an entity that requires sessions to create a non-sessionful message receiver.',
    );
  if (!needsSession && wantsSession)
    throw new Refusal(
      'conflict',
      `A sessionful message receiver cannot be created on '${path}', which has no sessions.`,
    );
  if (isStopped(entity)) throw disabled(entity);
}

async function openReceiver(
  link: WireLink,
  { broker, sessions }: DeliverDeps,
  { path }: Entity,
  mode: 'peekLock' | 'receiveAndDelete',
  signal: AbortSignal,
): Promise<Receiver | undefined> {
  const filters = filtersOf(link);
  if (!filters.has(SESSION_FILTER)) {
    echoAttach(link, []);
    return broker.receiver(path, { mode });
  }
  const wanted = filters.get(SESSION_FILTER);
  const id = typeof wanted === 'string' ? wanted : undefined;
  const receiver = await broker.acceptSession(
    path,
    { id, waitMs: id === undefined ? waitOf(link) : 0, signal },
    { mode },
  );
  if (signal.aborted) {
    await receiver?.close();
    return undefined;
  }
  if (!receiver) throw new Refusal('request_timeout', 'No session had messages in the time given.');
  sessions.set(sessionKey(path, receiver.sessionId!), receiver);
  const filter = to.map([to.symbol(SESSION_FILTER), to.string(receiver.sessionId!)]);
  const until = [to.symbol('com.microsoft:locked-until-utc'), to.long(ticksOf(receiver.sessionLockedUntil!))];
  echoAttach(link, until, sourceWithFilter(link, filter));
  return receiver;
}

/** How long the client wants to wait for the next session; a little less, so that our answer is there in time. */
function waitOf(link: WireLink): number {
  const given = linkProperties(link).get('com.microsoft:timeout');
  const waitMs = typeof given === 'number' && given > 0 ? given : DEFAULT_SESSION_WAIT_MS;
  return Math.min(waitMs > 2000 ? waitMs - 500 : waitMs, 10 * 60_000);
}

class Delivery {
  readonly #link: WireLink;
  readonly #receiver: Receiver;
  readonly #deps: DeliverDeps;
  readonly #closed: AbortController;
  readonly #outflow: Outflow<Received>;
  readonly #partitioned: boolean;
  #sessionTimer: NodeJS.Timeout | undefined;

  constructor(link: WireLink, receiver: Receiver, deps: DeliverDeps, closed: AbortController, partitioned: boolean) {
    this.#link = link;
    this.#receiver = receiver;
    this.#deps = deps;
    this.#closed = closed;
    this.#partitioned = partitioned;
    const take = (max: number, waitMs: number, signal: AbortSignal) => this.#take(max, waitMs, signal);
    const giveBack = (rest: readonly Received[]) => this.#giveBack(rest);
    const send = (message: Received) => this.#send(message);
    this.#outflow = new Outflow(link, { take, send, giveBack }, deps.tell, closed);
  }

  start(entity: Entity): void {
    const settling = new Settling(this.#receiver, this.#deps);
    hook(this.#link as never, {
      onDisposition: (delivery, state, settled) => settling.heard(delivery, state, settled),
    });
    this.#closed.signal.addEventListener('abort', () => {
      settling.flush(); // A client that waits for no answer may settle and close in one breath.
      this.#end(entity);
    });
    if (this.#receiver.sessionId !== undefined) this.#watchSession();
    this.#outflow.start();
  }

  async #take(max: number, waitMs: number, signal: AbortSignal): Promise<Received[]> {
    const messages = await this.#receiver.receive({ max, waitMs, signal });
    if (messages.length === 0 || !this.#isStopped()) return messages;
    await this.#receiver.release(messages);
    throw disabled(this.#deps.entity());
  }

  /** Whether the entity was closed to receivers while this one waited. What is deleted already is given out. */
  #isStopped(): boolean {
    return this.#receiver.mode === 'peekLock' && isStopped(this.#deps.entity());
  }

  #send(message: Received): void {
    const delivery = this.#link.send(toWire(message, false, this.#partitioned), tagOf(message.lockToken), 0);
    if (this.#receiver.mode === 'receiveAndDelete') delivery.update(true);
  }

  async #giveBack(rest: readonly Received[]): Promise<void> {
    if (this.#receiver.mode === 'peekLock') await this.#receiver.release(rest);
  }

  /** Closes the link when the session's lock ran out without having been renewed. */
  #watchSession(): void {
    const left = this.#receiver.sessionLockLeftMs!;
    if (left <= 0) {
      this.#outflow.fail(new Refusal('session_lock_lost', 'The session lock has expired. Accept it anew.'));
      return;
    }
    this.#sessionTimer = setTimeout(() => this.#watchSession(), left + 5).unref();
  }

  #end({ path }: Entity): void {
    clearTimeout(this.#sessionTimer);
    const { sessionId } = this.#receiver;
    const { sessions } = this.#deps;
    if (sessionId !== undefined && sessions.get(sessionKey(path, sessionId)) === this.#receiver)
      sessions.delete(sessionKey(path, sessionId));
    this.#receiver.close().catch(() => {}); // Of a session that is lost already.
  }
}
