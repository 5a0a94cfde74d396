// The parts of rhea that its typings do not name and that a server of this protocol has to reach into.
// rhea 3.0.x is pinned in package.json; `test/interop/servicebus-wire.test.ts` is to fail when one moves.
import { createRequire } from 'node:module';
import { type AmqpValue, Reader } from './decode.ts';

const require = createRequire(import.meta.url);

/** A performative or terminus: its fields live in `value`, by position. */
export type Composite = { value: unknown[] };

/** rhea's box around a value of a known AMQP type. */
export type Typed = { type: { typecode: number }; value: unknown; descriptor?: Typed };

export type Delivery = {
  readonly id: number;
  readonly tag: Buffer;
  readonly link: InternalLink;
  settled: boolean;
  remote_settled: boolean;
  /** A described outcome as it came, undecoded. */
  remote_state: Typed | undefined;
};

export type DeliveryStore = {
  available(): number;
  push(delivery: Delivery): void;
  pop_if(done: (delivery: Delivery) => boolean): number;
  by_id(id: number): Delivery | undefined;
};

export type InternalLink = {
  name: string;
  credit: number;
  delivery_count: number;
  _draining: boolean;
  _drained: boolean;
  _incomplete?: { frames: Buffer[] };
  readonly state: { local_open: boolean; open_requests: number; remote_open: boolean };
  readonly local: {
    handle: number;
    attach: Composite & Record<string, unknown>;
    detach: Composite & Record<string, unknown>;
  };
  readonly remote: { handle: number | undefined; attach: Record<string, unknown> };
  readonly session: InternalSession;
  readonly connection: InternalConnection;
  is_receiver(): boolean;
  on_attach(frame: Frame): void;
  open(): void;
  close(error?: { condition: string; description: string }): void;
  flow(credit: number): void;
  send(message: Buffer, tag: Buffer, format: number): Delivery;
};

/** The fields of a disposition frame. */
export type DispositionFields = { first: number; last: number | null; settled: boolean; state: Typed | null };

type Outgoing = {
  /** The first delivery that was not sent as a whole. */
  next_pending_delivery: number;
  deliveries: DeliveryStore;
  on_disposition: (fields: DispositionFields) => void;
};

export type InternalSession = {
  links: Record<string, InternalLink>;
  readonly local: {
    handles: Record<number, InternalLink>;
    begin: Composite & Record<string, unknown>;
    channel: number;
  };
  readonly remote: { handles: Record<number, InternalLink> };
  readonly outgoing: Outgoing;
  readonly connection: InternalConnection;
  on(event: string, listener: () => void): void;
  removeListener(event: string, listener: () => void): void;
  setMaxListeners(most: number): void;
  create_sender(name: string): InternalLink;
  create_receiver(name: string): InternalLink;
  output(frame: unknown, payload?: Buffer): void;
  _get_link(frame: Frame): InternalLink;
};

export type InternalConnection = {
  readonly local: { open: { max_frame_size: number } };
  close(error?: { condition: string; description: string }): void;
  dispatch(name: string, ...rest: unknown[]): boolean;
};

export type Frame = {
  channel: number;
  type: number;
  performative: (Composite & Record<string, unknown>) | undefined;
  payload?: Buffer;
};

type Constructor<T> = { prototype: T } & (new (...args: never[]) => T);
// biome-ignore lint/suspicious/noExplicitAny: methods of prototypes that are about to be replaced
type Replaceable = Record<string, any>;

export const frames = require('rhea/lib/frames.js') as {
  write_frame(frame: Frame): Buffer;
  disposition(fields: Record<string, unknown>): Composite;
  amqp_frame(channel: number, performative: unknown, payload?: Buffer): Frame;
  transfer(fields: object): unknown;
  flow(fields: object): unknown;
};
export const types = require('rhea/lib/types.js') as {
  Null(): Typed;
  Reader: Constructor<Replaceable>;
};
export const terminus = require('rhea/lib/terminus.js') as {
  unwrap(field: Typed | undefined): unknown;
};
export const message = require('rhea/lib/message.js') as { rejected(fields: object): { described(): Typed } };
export const Session = require('rhea/lib/session.js') as Constructor<InternalSession & Replaceable>;
export const links = require('rhea/lib/link.js') as {
  Sender: Constructor<InternalLink & Replaceable>;
  Receiver: Constructor<InternalLink & Replaceable>;
};
export const Connection = require('rhea/lib/connection.js') as Constructor<Replaceable>;
export const Transport = require('rhea/lib/transport.js') as Constructor<Replaceable>;
export const errors = require('rhea/lib/errors.js') as { ProtocolError: new (text: string) => Error };

type ValueReader = { read(): Typed };
type ValueWriter = { write(value: Typed): void; toBuffer(): Buffer };
const codecs = types as unknown as { Reader: new (bytes: Buffer) => ValueReader; Writer: new () => ValueWriter };

/** rhea's box around a value as the value itself. */
export function unbox(typed: Typed | null | undefined): AmqpValue {
  if (typed === null || typed === undefined) return null;
  const writer = new codecs.Writer();
  writer.write(typed);
  return new Reader(writer.toBuffer()).value();
}

/** An encoded value in rhea's box, for fields that rhea writes. */
export function box(encoded: Buffer): Typed {
  return new codecs.Reader(encoded).read();
}
