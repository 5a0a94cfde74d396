// What the door does with a link of rhea's: answer its attach now or later, echo what the client wrote, refuse.
import type { AmqpError } from '../errors.ts';
import type { AmqpValue } from './decode.ts';
import * as to from './encode.ts';
import {
  box,
  type Composite,
  type InternalConnection,
  type InternalSession,
  type Typed,
  unbox,
} from './rhea-internals.ts';

type Attach = Composite & {
  snd_settle_mode: number;
  rcv_settle_mode: number;
  source: Terminus | Typed | null;
  target: Terminus | Typed | null;
  properties: Record<string, unknown> | null;
  max_message_size: number | Typed | undefined;
};

type Terminus = Composite & {
  address: string | null;
  filter: Record<string, unknown> | null;
  described(): Typed;
};

/** One end of a link, as rhea holds it. */
export type WireLink = {
  readonly name: string;
  credit: number;
  delivery_count: number;
  readonly state: { local_open: boolean; open_requests: number; remote_open: boolean };
  readonly local: { attach: Attach; detach: Composite };
  readonly remote: { attach: Attach };
  readonly session: InternalSession;
  readonly connection: WireConnection;
  open(): void;
  close(error?: AmqpError): void;
  flow(credit: number): void;
  set_drained(drained: boolean): void;
  send(message: Buffer, tag: Buffer, format: number): OutgoingDelivery;
  is_receiver(): boolean;
  is_open(): boolean;
  on(event: string, listener: (context: LinkContext) => void): void;
};

export type LinkContext = {
  readonly message: Buffer;
  readonly delivery: IncomingDelivery;
  readonly format: number;
  readonly sender: WireLink;
  readonly receiver: WireLink;
};

export type IncomingDelivery = { readonly remote_state: Typed | null; update(settled: boolean, state?: unknown): void };

export type OutgoingDelivery = {
  readonly id: number;
  remote_settled: boolean;
  update(settled: boolean, state?: unknown): void;
};

export type WireConnection = InternalConnection & {
  readonly socket: { end(): void; destroy?(): void; destroySoon?(): void };
  readonly remote: { open?: { container_id?: string; properties?: Record<string, unknown> } };
  readonly amqp_transport: { pending: unknown[] };
  _register(): void;
  _write_close(): void;
  output(): void;
  is_open(): boolean;
  on(event: string, listener: (...args: never[]) => void): void;
  removeListener(event: string, listener: (...args: never[]) => void): void;
  setMaxListeners(most: number): void;
};

/** Source and target go back exactly as they came: Python compares them. Its properties must be a map. */
export function echoAttach(link: WireLink, properties: to.Encoded[] = [], source?: Typed): void {
  const { local, remote } = link;
  local.attach.source = source ?? described(remote.attach.source);
  local.attach.target = described(remote.attach.target);
  local.attach.snd_settle_mode = remote.attach.snd_settle_mode;
  local.attach.rcv_settle_mode = remote.attach.rcv_settle_mode;
  const at = 13;
  local.attach.value[at] = box(to.map(properties));
}

function described(terminus: Terminus | Typed | null): Typed | null {
  if (terminus === null || !('described' in terminus)) return terminus as Typed | null;
  return terminus.described();
}

/** The source with another filter: how a client learns which session it got. */
export function sourceWithFilter(link: WireLink, filter: to.Encoded): Typed {
  const source = link.remote.attach.source as Terminus;
  const at = 7;
  const fields = [...source.value];
  for (let i = fields.length; i < at; i++) fields[i] = box(to.nothing());
  fields[at] = box(filter);
  source.value = fields;
  return source.described();
}

/** rhea has queued the answer to the attach by now; this takes it back, until `link.open()`. */
export function holdAttach(link: WireLink): void {
  link.state.local_open = false;
  link.state.open_requests--;
}

/** An attach without termini and a detach with the reason: how a link is refused (AMQP 1.0, part 2.6.3). */
export function refuseLink(link: WireLink, error: AmqpError): void {
  link.local.attach.source = null;
  link.local.attach.target = null;
  if (!link.state.local_open) link.open();
  link.close(error);
}

/** The client has not read our attach yet: nothing else may be sent on the link. */
export function isPending(link: WireLink): boolean {
  return link.state.open_requests > 0;
}

/** The link's properties as the client gave them. */
export function linkProperties(link: WireLink): Map<string, AmqpValue> {
  const value = unbox(link.remote.attach.value[13] as Typed | null);
  return value instanceof Map ? new Map([...value].map(([key, item]) => [String(key), item])) : new Map();
}

export function addressOf(terminus: unknown): string | undefined {
  const address = (terminus as Terminus | null)?.address;
  return typeof address === 'string' ? address : undefined;
}

/** The filters of the source, decoded. */
export function filtersOf(link: WireLink): Map<string, AmqpValue> {
  const source = link.remote.attach.source as Terminus | null;
  const value = source ? unbox(source.value[7] as Typed | null) : null;
  return value instanceof Map ? new Map([...value].map(([key, item]) => [String(key), item])) : new Map();
}

/** What the client would like the link to be able to do: one symbol, or several. */
export function desiredCapabilities(link: WireLink): readonly AmqpValue[] {
  const value = unbox(link.remote.attach.value[12] as Typed | null);
  if (Array.isArray(value)) return value;
  return value === null ? [] : [value];
}
