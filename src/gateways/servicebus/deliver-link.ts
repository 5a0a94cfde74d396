// A client's receiver: hands out messages as far as it has given credit, and hears what becomes of them.
//
//   attach held --session locked, or none needed--> open --credit--> receiving --messages--> sent --disposition--> settled
//                                                     `--drain--> what is there is sent, then the drain is answered
import { Refusal } from '../../kit/refusal.ts';
import type { Broker } from '../../topics/broker.ts';
import type { Received, Receiver } from '../../topics/receive/receiver.ts';
import type { Entity } from './address.ts';
import * as to from './amqp/encode.ts';
import { echoAttach, filtersOf, isPending, linkProperties, sourceWithFilter, type WireLink } from './amqp/link.ts';
import { hook } from './amqp/mend.ts';
import { toWire } from './amqp/outgoing.ts';
import type { Tell } from './errors.ts';
import { tagOf } from './lock-token.ts';
import { type SessionLocks, sessionKey } from './session-locks.ts';
import { Settling } from './settling.ts';
import { ticksOf } from './ticks.ts';
import type { Transactions } from './transactions.ts';

export type DeliverDeps = {
  readonly broker: Broker;
  readonly entity: () => Entity;
  readonly sessions: SessionLocks;
  readonly transactions: Transactions;
  readonly tell: Tell;
};

const SESSION_FILTER = 'com.microsoft:session-filter';
const PRESETTLED = 1;
const DEFAULT_SESSION_WAIT_MS = 60_000;
/** Most messages of one call: keeps a client with much credit from holding the others up. */
const MOST_AT_ONCE = 256;
/** A socket with more than this unsent is left alone until it has caught up. */
const MOST_UNSENT_BYTES = 4 * 1024 * 1024;
const FOREVER_MS = 2 ** 31 - 1;

/** Opens the link, whose attach is held, when what it asks for is there. Throws what it is refused with. */
export async function serveDelivery(link: WireLink, deps: DeliverDeps): Promise<void> {
  const entity = deps.entity();
  checkReceivable(entity, filtersOf(link).has(SESSION_FILTER));
  const closed = new AbortController();
  link.on('sender_close', () => closed.abort());
  link.session.on('session_close', () => closed.abort());
  link.connection.on('disconnected', () => closed.abort());
  const mode = link.remote.attach.snd_settle_mode === PRESETTLED ? 'receiveAndDelete' : 'peekLock';
  const receiver = await openReceiver(link, deps, entity, mode, closed.signal);
  if (!receiver) return; // The client went away while it waited for a session.
  new Delivery(link, receiver, deps, closed).start(entity);
}

function checkReceivable({ path, topic, subscription, dead }: Entity, wantsSession: boolean): void {
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
  if (isStopped({ topic, subscription })) throw disabled({ path });
}

function isStopped({ topic, subscription }: Pick<Entity, 'topic' | 'subscription'>): boolean {
  const statuses = [topic.settings.status, subscription?.settings.status];
  return statuses.includes('disabled') || statuses.includes('receiveDisabled');
}

function disabled({ path }: Pick<Entity, 'path'>): Refusal {
  return new Refusal('entity_disabled', `Messaging entity '${path}' is currently disabled.`);
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
  /** Absolute numbers of deliveries: how far the client's credit reaches, and how many were sent. */
  #limit = 0;
  #sent = 0;
  #running = false;
  #interrupt = new AbortController();
  #asked = 0;
  #sessionTimer: NodeJS.Timeout | undefined;

  constructor(link: WireLink, receiver: Receiver, deps: DeliverDeps, closed: AbortController) {
    this.#link = link;
    this.#receiver = receiver;
    this.#deps = deps;
    this.#closed = closed;
  }

  start(entity: Entity): void {
    const link = this.#link;
    const settling = new Settling(this.#receiver, this.#deps);
    hook(link as never, { onDisposition: (delivery, state, settled) => settling.heard(delivery, state, settled) });
    link.on('sender_flow', () => this.#flow());
    this.#closed.signal.addEventListener('abort', () => this.#end(entity));
    if (this.#receiver.sessionId !== undefined) this.#watchSession();
    link.open();
    // Flow that came while the attach was held was noted by rhea, but told to nobody.
    if (link.credit > 0) setImmediate(() => this.#flow());
  }

  #flow(): void {
    this.#limit = this.#link.delivery_count + this.#link.credit;
    if (this.#limit - this.#sent < this.#asked || this.#draining) this.#interrupt.abort();
    void this.#run();
  }

  get #draining(): boolean {
    return (this.#link as unknown as { _draining: boolean })._draining === true;
  }

  get #open(): boolean {
    return !this.#closed.signal.aborted && this.#link.is_open();
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#open && (this.#sent < this.#limit || this.#draining)) await this.#step();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#running = false;
    }
  }

  async #step(): Promise<void> {
    if (isPending(this.#link)) return void (await turn());
    const draining = this.#draining;
    const wanted = Math.min(this.#limit - this.#sent, MOST_AT_ONCE);
    const messages = wanted > 0 ? await this.#receive(wanted, draining ? 0 : FOREVER_MS) : [];
    if (messages.length > 0) return this.#isStopped() ? this.#stop(messages) : this.#send(messages);
    if (draining && this.#draining) await this.#answerDrain();
  }

  async #receive(max: number, waitMs: number): Promise<Received[]> {
    this.#interrupt = new AbortController();
    this.#asked = max;
    try {
      const signal = waitMs > 0 ? AbortSignal.any([this.#interrupt.signal, this.#closed.signal]) : this.#closed.signal;
      return await this.#receiver.receive({ max, waitMs, signal });
    } finally {
      this.#asked = 0;
    }
  }

  /** Whether the entity was closed to receivers while this one waited. What is deleted already is given out. */
  #isStopped(): boolean {
    return this.#receiver.mode === 'peekLock' && isStopped(this.#deps.entity());
  }

  async #stop(messages: readonly Received[]): Promise<void> {
    await this.#receiver.release(messages);
    this.#fail(disabled(this.#deps.entity()));
  }

  async #send(messages: readonly Received[]): Promise<void> {
    const fitting = this.#open ? Math.min(messages.length, this.#limit - this.#sent) : 0;
    for (const message of messages.slice(0, fitting)) {
      this.#sent++;
      const delivery = this.#link.send(toWire(message), tagOf(message.lockToken), 0);
      if (this.#receiver.mode === 'receiveAndDelete') delivery.update(true);
    }
    const rest = messages.slice(fitting);
    if (rest.length > 0 && this.#receiver.mode === 'peekLock') await this.#receiver.release(rest);
    await this.#caughtUp();
  }

  /** Waits while the client reads more slowly than we write. */
  async #caughtUp(): Promise<void> {
    const socket = this.#link.connection.socket as { writableLength?: number };
    while (this.#open && (socket.writableLength ?? 0) > MOST_UNSENT_BYTES) await new Promise((go) => setTimeout(go, 5));
  }

  /** The answer says that all credit is used; transfers that still wait for the session's window go first. */
  async #answerDrain(): Promise<void> {
    while (this.#open && this.#link.delivery_count < this.#sent) await new Promise((go) => setTimeout(go, 2));
    if (!this.#open) return;
    this.#sent = this.#limit;
    this.#link.set_drained(true);
    this.#link.connection._register();
    await turn();
  }

  #fail(error: unknown): void {
    if (!this.#open) return;
    this.#link.close(this.#deps.tell(error));
    this.#closed.abort();
  }

  /** Closes the link when the session's lock ran out without having been renewed. */
  #watchSession(): void {
    const left = this.#receiver.sessionLockLeftMs!;
    if (left <= 0) {
      this.#fail(new Refusal('session_lock_lost', 'The session lock has expired. Accept it anew.'));
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

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
