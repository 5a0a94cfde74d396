// The peers of bench/servicebus.ts: the least that the official client needs, on rhea as it is, in memory. It checks no
// token, decodes no message, stores nothing: what it reaches is what client and library leave room for.
// The other one confirms a transfer only when its bytes, as they came, are a row in PostgreSQL, and does nothing else: what
// it reaches is what durability leaves room for.

import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import rhea from 'rhea';

type Link = ReturnType<typeof Object.create>;
type Store = (bytes: Buffer) => Promise<unknown>;

/** One connection to this PostgreSQL and a table of nothing but the bytes, which are not compressed. */
export async function openStore(url: string): Promise<Store> {
  const client = new pg.Client(url);
  await client.connect();
  await client.query('create table bare (id bigint generated always as identity primary key, body bytea not null)');
  await client.query('alter table bare alter column body set storage external');
  let last: Promise<unknown> = Promise.resolve();
  return (bytes) => {
    last = last.then(() =>
      client.query({ name: 'bare', text: 'insert into bare (body) values ($1)', values: [bytes] }),
    );
    return last;
  };
}

export type RunningPeer = {
  readonly port: number;
  /** Forgets what was sent and not received. */
  empty(): void;
};

/** Listens on a free port. */
export async function startPeer(store?: Store): Promise<RunningPeer> {
  const container = rhea.create_container({
    receiver_options: { credit_window: 2000, autoaccept: store === undefined },
    sender_options: { treat_modified_as_released: false },
  } as never);
  container.sasl_server_mechanisms.enable_anonymous();
  const queue: Buffer[] = [];
  const receivers = new Set<Link>();
  container.on('receiver_open', ({ receiver }: Link) =>
    openSender(receiver, queue, () => receivers.forEach(pump), store),
  );
  container.on('sender_open', ({ sender }: Link) => openReceiver(sender, receivers));
  container.on('disconnected', ({ connection }: Link) => {
    for (const link of receivers) if (link.connection === connection) receivers.delete(link);
  });
  for (const event of ['connection_error', 'protocol_error', 'error']) container.on(event as 'error', () => {});
  const pump = (link: Link) => {
    while (queue.length > 0 && link.credit - link.queued > 0) send(link, queue.shift()!);
  };
  container.on('sender_flow', ({ sender }: Link) => {
    if (!receivers.has(sender)) return;
    sender.queued = 0;
    pump(sender);
    if (sender._draining) setTimeout(() => drain(sender), 1);
  });
  const server = container.listen({ port: 0, host: '127.0.0.1' } as never);
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    empty: () => {
      queue.length = 0;
    },
  };
}

function drain(link: Link): void {
  link._drained = true;
  if (link.credit > 0) link.set_drained(true);
  link.connection._register();
}

function openSender(link: Link, queue: Buffer[], arrived: () => void, store?: Store): void {
  echo(link);
  const address = link.target?.address;
  const transfer = link.session.on_transfer;
  if (address !== '$cbs')
    link.session.on_transfer = function (frame: Link) {
      frame.performative.message_format ||= 0xfffffffe; // the bytes, not a decoded message
      return transfer.call(this, frame);
    };
  link.on('message', ({ message, format, connection, delivery }: Link) => {
    if (address === '$cbs') {
      if (store) delivery.accept();
      return answerToken(connection, message);
    }
    if (store) return void store(message).then(() => delivery.accept());
    if (format === 0x80013700) for (const each of rhea.message.decode(message).body.content) queue.push(each);
    else queue.push(message);
    arrived();
  });
}

function openReceiver(link: Link, receivers: Set<Link>): void {
  echo(link);
  if (link.source.address !== '$cbs') {
    link.queued = 0;
    receivers.add(link);
    link.on('sender_close', () => receivers.delete(link));
    link.on('accepted', ({ delivery }: Link) => {
      delivery.update(true, (rhea.message as Link).accepted().described());
      delivery.remote_settled = true;
    });
  }
}

function send(link: Link, bytes: Buffer): void {
  link.queued++;
  link.send(bytes, randomBytes(16), 0);
}

function echo(link: Link): void {
  link.local.attach.source = link.remote.attach.source?.described();
  link.local.attach.target = link.remote.attach.target?.described();
  link.local.attach.snd_settle_mode = link.remote.attach.snd_settle_mode;
  link.local.attach.rcv_settle_mode = link.remote.attach.rcv_settle_mode;
  link.local.attach.max_message_size = 1024 * 1024;
}

function answerToken(connection: Link, request: Link): void {
  const link = connection.find_sender((each: Link) => each.source?.address === '$cbs');
  const status = { 'status-code': rhea.types.wrap_int(202), 'status-description': 'Accepted' };
  link.send({ correlation_id: request.message_id, application_properties: status, body: null });
}
