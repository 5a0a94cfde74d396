// rhea is a fine AMQP 1.0 codec and client. As a server for Azure's clients it has traps; each is mended here, once,
// with the reason beside it, and each has a test. Nothing else in the door reaches into rhea's prototypes.
import { mendCounting } from './mend-counting.ts';
import { mendDispositions } from './mend-dispositions.ts';
import { mendReading } from './mend-reading.ts';
import { mendWriting } from './mend-writing.ts';
import {
  Connection,
  type Delivery,
  type DeliveryStore,
  type DispositionFields,
  errors,
  type Frame,
  frames,
  type InternalLink,
  type InternalSession,
  links,
  message,
  Session,
  Transport,
  type Typed,
  terminus,
  types,
} from './rhea-internals.ts';

/** Stands for message format 0, so that rhea hands out the raw bytes instead of a decoded message. */
export const PLAIN_FORMAT = 0xfffffffe;

/** What a link of ours hears from its client. Kept beside rhea's objects, so that they need no fields of ours. */
export type LinkHooks = {
  /** More bytes of one transfer than this are not kept (`isOversize`). Links that set it get raw bytes. */
  readonly maxMessageSize?: number;
  /** A disposition came for a delivery that we sent. */
  readonly onDisposition?: (delivery: Delivery, state: Typed | undefined, settled: boolean) => void;
};

const hooks = new WeakMap<InternalLink, LinkHooks>();

export function hook(link: object, its: LinkHooks): void {
  hooks.set(link as InternalLink, its);
}

let mended = false;

/** Changes rhea's prototypes; call once before the first connection is accepted. */
export function mendRhea(): void {
  if (mended) return;
  mended = true;
  keyLinksByRole();
  answerEveryDrain();
  keepDeliveriesInMap();
  takeRawMessages();
  keepUnknownDescribed();
  boundWhatIsRead();
  allowPipelining();
  catchWhatIsThrownLater();
  mendCounting();
  mendDispositions();
  mendReading();
  mendWriting();
}

// rhea keeps the links of a session by name alone. Two links of one name, one each way, are legal, and what
// qpid-proton does by default. It also forgets the client's handle when a link ends.
function keyLinksByRole(): void {
  const prototype = Session.prototype;
  const key = (name: string, receiver: boolean) => `${receiver ? 'in' : 'out'}:${name}`;
  const create = prototype.create_link as (...args: unknown[]) => InternalLink;
  prototype.create_link = function (this: InternalSession, name: string, kind: unknown, opts: unknown) {
    const link = create.call(this, name, kind, opts);
    delete this.links[name];
    this.links[key(name, link.is_receiver())] = link;
    return link;
  };
  prototype.on_attach = function (this: InternalSession, frame: Frame) {
    const { name, role, handle, initial_delivery_count } = frame.performative as unknown as AttachFields;
    const known = this.links[key(name, !role)];
    const link = known ?? (role ? this.create_sender(name) : this.create_receiver(name));
    this.remote.handles[handle] = link;
    link.remote.handle = handle;
    if (!role) link.delivery_count = initial_delivery_count ?? 0; // rhea takes 0 for granted.
    link.on_attach(frame);
  };
  prototype.remove_link = function (this: InternalSession, link: InternalLink) {
    if (this.remote.handles[link.remote.handle!] === link) delete this.remote.handles[link.remote.handle!];
    delete this.local.handles[link.local.handle];
    delete this.links[key(link.name, link.is_receiver())];
  };
}

type AttachFields = {
  readonly name: string;
  readonly role: boolean;
  readonly handle: number;
  readonly initial_delivery_count: number | null | undefined;
};

// rhea answers a drain only while credit is left. Azure's client closes the link when a drain stays unanswered.
function answerEveryDrain(): void {
  links.Sender.prototype._get_drain = function (this: InternalLink) {
    if (!this._draining || !this._drained) return false;
    this.delivery_count += Math.max(this.credit, 0);
    this.credit = 0;
    this._draining = false;
    return true;
  };
}

// rhea's unsettled deliveries live in a ring that empties from its head only: one message that is held for long stops
// the link after 2,048 others. A map has no head.
class DeliveryMap implements DeliveryStore {
  /** By their numbers as they are on the wire. */
  readonly #byId = new Map<number, Delivery>();

  available(): number {
    return 1_000_000 - this.#byId.size;
  }

  push(delivery: Delivery): void {
    this.#byId.set(delivery.id >>> 0, delivery);
  }

  pop_if(done: (delivery: Delivery) => boolean): number {
    let count = 0;
    for (const [id, delivery] of this.#byId) {
      if (!done(delivery)) break;
      this.#byId.delete(id);
      count++;
    }
    return count;
  }

  // rhea asks for deliveries in the order in which it sends them: the one before was sent. If it went out settled it is
  // done, and must not wait for older ones that are not.
  by_id(id: number): Delivery | undefined {
    const before = this.#byId.get((id - 1) >>> 0);
    if (before?.settled && before.remote_settled) this.forget(id - 1);
    return this.#byId.get(id >>> 0);
  }

  forget(id: number): void {
    this.#byId.delete(id >>> 0);
  }

  get ids(): Iterable<number> {
    return this.#byId.keys();
  }

  get size(): number {
    return this.#byId.size;
  }
}

/** Forgets a delivery that both sides have settled. */
export function forgetDelivery(delivery: Delivery): void {
  (delivery.link.session.outgoing.deliveries as DeliveryMap).forget(delivery.id);
}

function keepDeliveriesInMap(): void {
  const begin = Session.prototype.on_begin as (frame: Frame) => void;
  Session.prototype.on_begin = function (this: InternalSession & { readonly incoming: Incoming }, frame: Frame) {
    const outgoing = this.outgoing as {
      deliveries: DeliveryStore;
      on_disposition: (fields: DispositionFields) => void;
    };
    outgoing.deliveries = new DeliveryMap();
    outgoing.on_disposition = (fields) => onDisposition(this, fields);
    settleWhatIsHeld(this.incoming);
    this.local.begin.handle_max = 4999;
    begin.call(this, frame);
  };
}

/** A client's word on what we sent, handed to the link as it came. Deliveries that nobody knows any more get an
 * answer too, because a client waits a minute for one. */
function onDisposition(session: InternalSession, fields: DispositionFields): void {
  const last = fields.last ?? fields.first;
  const store = session.outgoing.deliveries as DeliveryMap;
  let known = 0;
  for (const id of meant(fields, store)) {
    const delivery = store.by_id(id);
    if (!delivery || delivery.id >= session.outgoing.next_pending_delivery) continue;
    known++;
    if (fields.settled) delivery.remote_settled = true;
    hooks.get(delivery.link)?.onDisposition?.(delivery, fields.state ?? undefined, fields.settled === true);
  }
  if (known === 0 && !fields.settled) answerUnknown(session, fields.first, last);
}

function answerUnknown(session: InternalSession, first: number, last: number): void {
  const description = 'The lock supplied is invalid. Either the lock expired, or the message has already been removed.';
  const state = rejectedState('com.microsoft:message-lock-lost', description);
  session.output(frames.disposition({ role: false, first, last, settled: true, state }));
}

type Incoming = {
  readonly deliveries: { readonly size: number; readonly entries: readonly (Delivery | undefined)[] };
  on_disposition: (fields: DispositionFields) => void;
};

/** rhea looks for every number from the first to the last: a client that names them all stops it for half a minute. */
function settleWhatIsHeld(incoming: Incoming): void {
  const settle = incoming.on_disposition;
  incoming.on_disposition = (fields) => {
    const { size, entries } = incoming.deliveries;
    const held = {
      size,
      get ids() {
        return entries.flatMap((delivery) => delivery?.id ?? []);
      },
    };
    const { state, settled } = fields;
    for (const id of meant(fields, held)) settle.call(incoming, { first: id, last: id, state, settled });
  };
}

type Held = { readonly size: number; readonly ids: Iterable<number> };

/** The numbers that a disposition is about; of more than are held, those that are. */
export function meant({ first, last }: Pick<DispositionFields, 'first' | 'last'>, held: Held): Iterable<number> {
  const more = ((last ?? first) - first) >>> 0;
  return more < held.size ? range(first, more) : within(held.ids, first, more);
}

/** `first` and the `more` that follow it, round the end of 32 bits. */
function* range(first: number, more: number): Iterable<number> {
  for (let i = 0; i <= more; i++) yield (first + i) >>> 0;
}

function within(ids: Iterable<number>, first: number, more: number): number[] {
  return [...ids].filter((id) => (id - first) >>> 0 <= more);
}

/** The outcome `rejected` with an error, ready for a disposition. */
export function rejectedState(condition: string, description: string): unknown {
  return message.rejected({ error: { condition, description } }).described();
}

// rhea decodes a message before anybody asks for it. Our links keep the bytes. A transfer that grows beyond the link's
// limit loses them at once instead of filling the memory, and is refused when its end has come.
function takeRawMessages(): void {
  const transfer = Session.prototype.on_transfer as (frame: Frame) => void;
  Session.prototype.on_transfer = function (this: InternalSession, frame: Frame) {
    const link = this._get_link(frame);
    const limit = hooks.get(link)?.maxMessageSize;
    if (limit === undefined) return transfer.call(this, frame);
    const performative = frame.performative as unknown as { message_format: number | null; value: unknown[] };
    if (!performative.message_format) performative.message_format = PLAIN_FORMAT;
    if (link.credit <= 0 && !link._incomplete) return refuseTransfer(link);
    frame.payload ??= Buffer.alloc(0); // rhea would hand out nothing at all for a transfer without a payload.
    noteState(link, performative.value[TRANSFER_STATE]);
    transfer.call(this, frame);
    keepWithin(link, frame.payload.length, limit);
  };
}

const TRANSFER_STATE = 7;
const states = new WeakMap<InternalLink, Typed>();

/** rhea decodes the state of a transfer beyond recognition; a transaction is named in it. */
function noteState(link: InternalLink, state: unknown): void {
  if (link._incomplete) return;
  if ((state as Typed | undefined)?.descriptor) states.set(link, state as Typed);
  else states.delete(link);
}

/** The state that the client's transfer carried, such as the transaction it is part of. */
export function stateOf(delivery: object): Typed | undefined {
  return states.get((delivery as Delivery).link);
}

function refuseTransfer(link: InternalLink): void {
  const condition = 'amqp:link:transfer-limit-exceeded';
  link.close({ condition, description: 'The link has no credit for this transfer.' });
}

/** Whether a delivery was larger than its link takes: then its bytes were dropped on the way in. */
export function isOversize(delivery: object): boolean {
  return oversize.has(delivery);
}

const oversize = new WeakSet<object>();
/** How many bytes of an incomplete transfer have come. Counted, because a client may send them one by one. */
const received = new WeakMap<object, number>();

function keepWithin(link: InternalLink, more: number, limit: number): void {
  const incomplete = link._incomplete;
  if (!incomplete) return;
  const length = (received.get(incomplete) ?? 0) + more;
  received.set(incomplete, length);
  if (length <= limit) return;
  oversize.add(incomplete);
  incomplete.frames.length = 0;
}

// A coordinator as target, and outcomes inside transactions, are types that rhea does not know: it prints a line to
// the console and loses them. Here they stay what they are: described values.
function keepUnknownDescribed(): void {
  const known = new Set(['40', '41', 'amqp:source:list', 'amqp:target:list']);
  const unwrap = terminus.unwrap;
  terminus.unwrap = (field) => {
    const descriptor = field?.descriptor?.value;
    return descriptor !== undefined && !known.has(String(descriptor)) ? field : unwrap(field);
  };
}

// A list's length is a claim of its sender. rhea allocates for it, and an array of empty values may claim four
// thousand million of them in six bytes.
function boundWhatIsRead(): void {
  const prototype = types.Reader.prototype;
  for (const name of ['read_n', 'read_array_items']) {
    const read = prototype[name] as (...args: unknown[]) => unknown;
    prototype[name] = function (this: { remaining(): number; buffer: Buffer }, count: number, ...rest: unknown[]) {
      if (count > this.buffer.length)
        throw new errors.ProtocolError('A list claims more elements than its frame has bytes');
      return read.call(this, count, ...rest);
    };
  }
  const read = Transport.prototype.read as (buffer: Buffer) => number;
  Transport.prototype.read = function (
    this: { protocol_id: number; handler: { local?: { open: { max_frame_size: number } } } },
    buffer: Buffer,
  ) {
    const consumed = read.call(this, buffer);
    if (this.protocol_id === SASL && isPipelined(buffer, consumed)) return consumed;
    const waiting = buffer.length - consumed >= 4 ? buffer.readUInt32BE(consumed) : 0;
    const limit = this.handler.local?.open.max_frame_size ?? 262_144;
    if (waiting > limit) throw new errors.ProtocolError(`A frame of ${waiting} bytes is larger than ${limit}`);
    return consumed;
  };
}

// A client may send its AMQP header, and more, before it has read that its SASL succeeded. rhea takes that for a SASL
// frame of a thousand million bytes. It is kept as it came, and read when SASL is over.
function allowPipelining(): void {
  const peek = Transport.prototype.peek_size as (buffer: Buffer) => number | undefined;
  Transport.prototype.peek_size = function (this: { protocol_id: number }, buffer: Buffer) {
    return this.protocol_id === SASL && isPipelined(buffer, 0) ? undefined : peek.call(this, buffer);
  };
  const output = Connection.prototype.output as () => void;
  Connection.prototype.output = function (this: SaslConnection) {
    output.call(this);
    const held = this.previous_input;
    if (held && isPipelined(held, 0) && this.transport.selected?.outcome === SASL_OK)
      setImmediate(() => {
        if (this.previous_input === held) this.input(Buffer.alloc(0));
      });
  };
}

type SaslConnection = {
  previous_input?: Buffer | null;
  readonly transport: { readonly selected?: { readonly outcome?: number } };
  input(bytes: Buffer): void;
};

const SASL = 3;
const SASL_OK = 0;
/** What a client may send ahead; it waits for one answer only. */
const MOST_AHEAD = 262_144;

function isPipelined(bytes: Buffer, at: number): boolean {
  const ahead = bytes.length - at;
  return ahead >= 4 && ahead <= MOST_AHEAD && bytes.readUInt32BE(at) === 0x414d5150; // "AMQP"
}

// rhea answers at the next tick, where nobody catches what an odd field of a client's frame makes it throw.
function catchWhatIsThrownLater(): void {
  const run = Connection.prototype._process as () => void;
  Connection.prototype._process = function (this: { dispatch(name: string, error: unknown): void }) {
    try {
      run.call(this);
    } catch (error) {
      this.dispatch('error', error);
    }
  };
}
