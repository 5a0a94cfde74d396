// A client on plain rhea, for what Azure's JavaScript client has no call for: tokens of any kind, requests to
// `$management` as they stand in the protocol, links with properties of any kind.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import rhea, { type Connection, type EventContext, type Message, type Receiver, type Sender } from 'rhea';

export type Reply = { readonly status: number; readonly condition: string | undefined; readonly body: unknown };

export class RheaClient implements AsyncDisposable {
  readonly connection: Connection;
  readonly #requests = new Map<string, { sender: Sender; receiver: Receiver; replyTo: string }>();

  private constructor(connection: Connection) {
    this.connection = connection;
  }

  /** `key`: signs in by PLAIN; without one, anonymously, and `putToken` has to follow. */
  static async open(port: number, key?: string, name = 'RootManageSharedAccessKey'): Promise<RheaClient> {
    const container = rhea.create_container();
    container.on('error', () => {});
    for (const event of ['sender_error', 'receiver_error', 'connection_error', 'session_error', 'disconnected'])
      container.on(event as 'disconnected', () => {});
    const login = key === undefined ? { username: 'anonymous' } : { username: name, password: key };
    const connection = container.connect({ host: '127.0.0.1', port, reconnect: false, ...login } as never);
    await once(connection, 'connection_open');
    return new RheaClient(connection);
  }

  /** Puts a token; answers the status. */
  async putToken(token: string, audience: string, type = 'servicebus.windows.net:sastoken'): Promise<Reply> {
    return this.#request('$cbs', { operation: 'put-token', type, name: audience }, token);
  }

  /** One operation of section 5 of the protocol, at the entity's management node. */
  manage(entity: string, operation: string, body: object, more: object = {}): Promise<Reply> {
    return this.#request(`${entity}/$management`, { operation: `com.microsoft:${operation}`, ...more }, body);
  }

  async #request(address: string, properties: object, body: unknown): Promise<Reply> {
    const { sender, receiver, replyTo } = await this.#node(address);
    const id = randomUUID();
    const answered = new Promise<Message>((resolve) => {
      const listen = ({ message }: EventContext) => {
        if (message?.correlation_id !== id) return;
        receiver.off('message', listen);
        resolve(message);
      };
      receiver.on('message', listen);
    });
    sender.send({ message_id: id, reply_to: replyTo, application_properties: properties as never, body });
    const { application_properties: said = {}, body: answer } = await answered;
    const value = (name: string, camel: string) => said[name] ?? said[camel];
    return {
      status: Number(value('status-code', 'statusCode')),
      condition: value('error-condition', 'errorCondition') as string | undefined,
      body: answer,
    };
  }

  async #node(address: string) {
    const known = this.#requests.get(address);
    if (known) return known;
    const replyTo = randomUUID();
    const receiver = this.connection.open_receiver({ source: address, target: replyTo, name: replyTo } as never);
    const sender = this.connection.open_sender(address);
    const failed = new Promise<never>((_, reject) => {
      sender.once('sender_error', () =>
        reject(new Error(String(sender.error && 'condition' in sender.error && sender.error.condition))),
      );
    });
    await Promise.race([Promise.all([once(receiver, 'receiver_open'), once(sender, 'sendable')]), failed]);
    const node = { sender, receiver, replyTo };
    this.#requests.set(address, node);
    return node;
  }

  /** Opens a sender and resolves when it has credit; rejects with the condition when it is refused. */
  async sender(options: object): Promise<Sender> {
    const sender = this.connection.open_sender(options as never);
    await opened(sender, 'sendable', 'sender_error');
    return sender;
  }

  async receiver(options: object): Promise<Receiver> {
    const receiver = this.connection.open_receiver({ credit_window: 0, autoaccept: false, ...options } as never);
    await opened(receiver, 'receiver_open', 'receiver_error');
    return receiver;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.connection.is_open()) return;
    this.connection.close();
    await once(this.connection, 'connection_close').catch(() => {});
  }
}

function opened(link: Sender | Receiver, good: string, bad: string): Promise<void> {
  return new Promise((resolve, reject) => {
    link.once(good as never, () => {
      // A refused link is opened, without an end, before it is closed.
      if (link.source?.address !== undefined || link.target?.address !== undefined) resolve();
    });
    link.once(bad as never, () => reject(new Error(String((link.error as { condition?: string })?.condition))));
  });
}

/** The first message that comes after credit for it is given. */
export function nextMessage(receiver: Receiver): Promise<EventContext> {
  const got = new Promise<EventContext>((resolve) => receiver.once('message', resolve));
  receiver.add_credit(1);
  return got;
}
