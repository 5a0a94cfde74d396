// One connection of a client: what it was granted, and its links, each routed by its address and role. A fault of ours in
// one link must not take the connection down, and a fault of the client must be told to it before the connection ends.
import { Refusal } from '../../kit/refusal.ts';
import { type Address, type Entity, findEntity, parseAddress } from './address.ts';
import * as to from './amqp/encode.ts';
import {
  addressOf,
  holdAttach,
  type LinkContext,
  linkProperties,
  refuseLink,
  type WireConnection,
  type WireLink,
} from './amqp/link.ts';
import type { WireReply, WireRequest } from './amqp/request.ts';
import { box, type Typed } from './amqp/rhea-internals.ts';
import { type Authority, type Grant, isGranted, type Right } from './authority.ts';
import { answerCbs } from './cbs.ts';
import { serveDelivery } from './deliver-link.ts';
import type { DoorDeps } from './door.ts';
import { type AmqpError, type Tell, toAmqpError } from './errors.ts';
import { serveEvents } from './eventhub/event-link.ts';
import { placer } from './eventhub/place.ts';
import { answerRead, isRead } from './eventhub/read-hub.ts';
import { answerManagement } from './management/answer.ts';
import { servePublishing } from './publish-link.ts';
import { ReplyLinks, serveRequests } from './request-link.ts';
import type { SessionLocks } from './session-locks.ts';
import { isCoordinator, serveCoordinator, Transactions } from './transactions.ts';

/** setTimeout's longest. */
const LONGEST_TIMER = 2 ** 31 - 1;

export type PeerDeps = DoorDeps & { readonly authority: Authority };

type Held = { readonly link: WireLink; readonly right: Right; readonly path: string };

export class Peer {
  readonly #deps: PeerDeps;
  readonly #connection: WireConnection;
  readonly #grants = new Map<string, Grant>();
  readonly #held = new Set<Held>();
  readonly #replies = new ReplyLinks();
  readonly #transactions: Transactions;
  /** Sessions that links of this connection hold, for requests about them. */
  readonly sessions: SessionLocks = new Map();
  readonly #since: number;
  #expiry: NodeJS.Timeout | undefined;

  constructor(connection: WireConnection, deps: PeerDeps) {
    this.#connection = connection;
    this.#deps = deps;
    this.#since = deps.now().getTime();
    this.#transactions = new Transactions(deps);
    connection.on('receiver_open', (context: LinkContext) => this.#opened(context.receiver));
    connection.on('sender_open', (context: LinkContext) => this.#opened(context.sender));
    for (const name of ['receiver_error', 'sender_error', 'receiver_close', 'sender_close', 'session_error'])
      connection.on(name, () => {}); // rhea throws what nobody listens to
    connection.on('session_close', () => {});
  }

  granted(grants: Iterable<Grant>): void {
    for (const grant of grants) this.#grants.set(grant.path, grant);
    this.#watchExpiry();
  }

  /** Links end when their token does, unless the client has put a newer one by then. */
  #watchExpiry(): void {
    clearTimeout(this.#expiry);
    const now = this.#deps.now();
    const ends = [...this.#grants.values()].map(({ expiresAt }) => expiresAt).filter((at) => at > now.getTime());
    const next = Math.min(...ends);
    if (next === Infinity) return;
    const wait = Math.min(next - now.getTime() + 20, LONGEST_TIMER);
    this.#expiry = setTimeout(() => {
      this.sweep(this.#deps.now());
      this.#watchExpiry();
    }, wait).unref();
  }

  #opened(link: WireLink): void {
    link.on(link.is_receiver() ? 'receiver_close' : 'sender_close', () => this.#drop(link));
    try {
      this.#route(link);
    } catch (error) {
      if (isMissing(error)) void this.#routeLater(link);
      else this.#refuse(link, error);
    }
  }

  /** The entity may have been made on another node a moment ago: looks again before it says no. */
  async #routeLater(link: WireLink): Promise<void> {
    holdAttach(link);
    try {
      await this.#deps.topics.seek();
      this.#route(link, true);
    } catch (error) {
      this.#refuse(link, error);
    }
  }

  /** `held`: the answer to the attach was taken back, and is given when the link is served. */
  #route(link: WireLink, held = false): void {
    const incoming = link.is_receiver();
    const { source, target } = link.remote.attach;
    if (incoming && isCoordinator(target)) {
      serveCoordinator(link, this.#transactions, this.#tell('transaction'));
      return;
    }
    const text = addressOf(incoming ? target : source);
    if (text === undefined)
      throw new Refusal('bad_request', 'The link names no entity.', { condition: 'amqp:invalid-field' });
    const address = parseAddress(text);
    if (address.node !== 'entity') this.#routeNode(link, address);
    else if (incoming) this.#routePublishing(link, address);
    else this.#routeDelivery(link, address, held);
    const waits = address.node === 'entity' && !incoming;
    if (held && !waits) link.open();
  }

  #routeNode(link: WireLink, address: Address): void {
    if (!link.is_receiver()) this.#replies.add(link);
    else if (address.node === 'cbs') this.#routeCbs(link);
    else this.#routeManagement(link, address);
  }

  #routeCbs(link: WireLink): void {
    const grant = (given: Grant) => this.granted([given]);
    const tell = this.#tell('cbs');
    const deps = { authority: this.#deps.authority, topics: this.#deps.topics, grant, tell };
    serveRequests(link, (request) => answerCbs(deps, request), this.#replies, tell);
  }

  /** Event Hubs clients ask the namespace about its hubs; Service Bus clients ask an entity about itself. */
  #routeManagement(link: WireLink, address: Address): void {
    const tell = this.#tell('management');
    const reading = { ...this.#deps, need: (path: string) => this.#needAny(path), tell };
    const read = (request: WireRequest) => answerRead(reading, request);
    const manage = address.entity === '' ? read : this.#management(address, tell);
    serveRequests(link, (request) => (isRead(request) ? read(request) : manage(request)), this.#replies, tell);
  }

  #management(address: Address, tell: Tell): (request: WireRequest) => Promise<WireReply> {
    const entity = () => findEntity(this.#deps.topics, address);
    const { path } = entity();
    this.#needAny(path);
    const need = (right: Right) => {
      if (!this.#allowed(right, path)) throw missingRight(right, path);
    };
    const context = { ...this.#deps, entity, need, sessions: this.sessions, tell };
    return (request) => answerManagement(context, request);
  }

  #allowed(right: Right, path: string): boolean {
    return isGranted(this.#grants.values(), right, path, this.#deps.now());
  }

  #needAny(path: string): void {
    const some = (['Listen', 'Send', 'Manage'] as const).some((right) => this.#allowed(right, path));
    if (!some) throw missingRight('Listen', path);
  }

  #routePublishing(link: WireLink, address: Address): void {
    const via = findEntity(this.#deps.topics, address);
    if (address.subscription !== undefined || address.dead || address.hub?.group !== undefined)
      throw new Refusal('bad_request', `Messages cannot be sent to '${via.path}'; send to its topic or queue.`);
    this.#need(link, 'Send', via);
    const target = this.#transferTarget(link) ?? address;
    const entity = () => findEntity(this.#deps.topics, target);
    if (target !== address) this.#need(link, 'Send', entity());
    servePublishing(link, {
      entity,
      place: placer(via.topic, address.hub),
      publish: (topic, messages) => this.#deps.broker.publish(topic, messages),
      transactions: this.#transactions,
      tell: this.#tell('send'),
    });
  }

  /** Sending via one entity to another: what a transaction needs at the original, and only an address here. */
  #transferTarget(link: WireLink): Address | undefined {
    const given = linkProperties(link).get('com.microsoft:transfer-destination-address');
    if (typeof given !== 'string' || given === '') return undefined;
    const target = parseAddress(given);
    if (target.node === 'entity' && target.subscription === undefined && !target.dead) return target;
    throw new Refusal('bad_request', 'The transfer destination is no topic or queue.');
  }

  #routeDelivery(link: WireLink, address: Address, held: boolean): void {
    const entity = () => findEntity(this.#deps.topics, address);
    this.#need(link, 'Listen', entity());
    if (!held) holdAttach(link);
    const deps = { ...this.#deps, entity, tell: this.#tell('receive') };
    const { sessions } = this;
    const served = address.hub
      ? serveEvents(link, address.hub, deps)
      : serveDelivery(link, { ...deps, sessions, transactions: this.#transactions });
    served.catch((error: unknown) => this.#refuse(link, error));
  }

  #need(link: WireLink, right: Right, { path }: Entity): void {
    if (!this.#allowed(right, path)) throw missingRight(right, path);
    this.#held.add({ link, right, path });
  }

  #drop(link: WireLink): void {
    for (const held of this.#held) if (held.link === link) this.#held.delete(held);
  }

  #refuse(link: WireLink, error: unknown): void {
    refuseLink(link, this.#tell('attach')(error));
  }

  #tell(where: string): Tell {
    const { emit } = this.#deps;
    return (error) => {
      if (!(error instanceof Refusal)) emit({ name: 'servicebus.failed', where, error });
      const told = toAmqpError(error);
      emit({ name: 'servicebus.refused', where, condition: told.condition });
      return told;
    };
  }

  /** Ends links whose token has expired, and connections that never had one. */
  sweep(now: Date): void {
    // At once: who has not opened the connection cannot be asked to close it, and keeps no place either.
    if (this.#grants.size === 0 && now.getTime() - this.#since > this.#deps.patienceMs)
      this.abort({ condition: 'amqp:connection:forced', description: 'No token was put in time.' });
    for (const { link, right, path } of this.#held)
      if (!isGranted(this.#grants.values(), right, path, now)) link.close(toAmqpError(missingRight(right, path)));
  }

  /** The connection is gone: so are its transactions. Locks of messages live on, those of sessions were released. */
  ended(): void {
    clearTimeout(this.#expiry);
    this.#transactions.rollBackAll();
  }

  close(error: AmqpError): void {
    this.#connection.close(error);
  }

  /** Says at once why the connection ends, if the client is far enough to be told, and ends it. */
  abort(error: AmqpError): void {
    const connection = this.#connection;
    const local = connection.local as unknown as { close: { value: unknown[] } };
    connection.amqp_transport.pending = []; // One of these may be what cannot be written.
    if (connection.is_open()) {
      local.close.value[0] = errorOf(error);
      connection._write_close();
      connection.output(); // At once: in the middle of a turn it would wait for the end of the turn.
    }
    if (connection.socket.destroySoon) connection.socket.destroySoon();
    else connection.socket.end();
  }
}

function errorOf({ condition, description }: AmqpError): Typed {
  return box(to.described(0x1d, to.list([to.symbol(condition), to.string(description), to.nothing()])));
}

function isMissing(error: unknown): boolean {
  return error instanceof Refusal && error.code === 'not_found' && error.details.condition === 'amqp:not-found';
}

function missingRight(right: Right, path: string): Refusal {
  const words = `Unauthorized access. '${right}' claim(s) are required to perform this operation. Resource: '${path}'.`;
  return new Refusal('right_missing', words);
}
