// The push service as Firefox sees it (Mozilla's autopush): a WebSocket over which the browser asks for push addresses and gets what was
// sent there. The addresses lie on a Web Push stand-in, which hands the pushes on, still encrypted: only the browser has the keys.
//
// Firefox is pointed here by `dom.push.serverURL=ws://127.0.0.1:{port}/` with `dom.push.testing.allowInsecureServerURL=true`.

import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import type { RawPush, WebPushStandin } from './webpush.ts';

type Message = {
  readonly messageType?: string;
  readonly channelID?: string;
  readonly uaid?: string;
  readonly updates?: readonly { readonly channelID: string; readonly version: string; readonly code: number }[];
};

/** What the browser made of a push: 100 delivered, 101 not decryptable, 102 not delivered. */
export type Ack = { readonly channelID: string; readonly code: number };

export class AutopushStandin {
  readonly acks: Ack[] = [];
  readonly #server: WebSocketServer;
  readonly #webpush: WebPushStandin;
  readonly #channels = new Map<string, string>();
  #browser: WebSocket | undefined;

  private constructor(server: WebSocketServer, webpush: WebPushStandin) {
    this.#server = server;
    this.#webpush = webpush;
    server.on('connection', (socket) => this.#take(socket));
  }

  static async start(webpush: WebPushStandin): Promise<AutopushStandin> {
    const handleProtocols = (): string => 'push-notification';
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols });
    await new Promise((resolve) => server.once('listening', resolve));
    return new AutopushStandin(server, webpush);
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`; // it listens on TCP
  }

  /** Addresses that the browser has now. */
  get channels(): readonly string[] {
    return [...this.#channels.keys()];
  }

  async stop(): Promise<void> {
    for (const client of this.#server.clients) client.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #take(socket: WebSocket): void {
    this.#browser = socket;
    socket.on('error', () => {});
    socket.on('message', (data) => {
      const message = JSON.parse(String(data)) as Message; // Firefox sends nothing else
      for (const answer of this.#answer(message)) socket.send(JSON.stringify(answer));
    });
  }

  #answer(message: Message): object[] {
    const { messageType, channelID = '', uaid } = message;
    if (messageType === 'hello')
      return [
        { messageType, uaid: uaid || randomUUID().replaceAll('-', ''), status: 200, use_webpush: true, broadcasts: {} },
      ];
    if (messageType === 'register')
      return [{ messageType, channelID, status: 200, pushEndpoint: this.#register(channelID) }];
    if (messageType === 'unregister') return [{ messageType, channelID, status: this.#unregister(channelID) }];
    if (messageType === 'ack') this.acks.push(...(message.updates ?? []));
    return messageType === undefined ? [{}] : []; // an empty frame is a ping
  }

  #register(channelID: string): string {
    const path = `/wpush/v2/${randomUUID()}`;
    this.#channels.set(channelID, path);
    this.#webpush.attach(path, { deliver: (push) => this.#deliver(channelID, push) });
    return `${this.#webpush.service.url}${path}`;
  }

  #unregister(channelID: string): number {
    const path = this.#channels.get(channelID);
    if (path !== undefined) this.#webpush.detach(path);
    this.#channels.delete(channelID);
    return 200;
  }

  #deliver(channelID: string, { body, encoding }: RawPush): void {
    const data = body.length === 0 ? {} : { data: body.toString('base64url'), headers: { encoding } };
    this.#browser?.send(JSON.stringify({ messageType: 'notification', channelID, version: randomUUID(), ...data }));
  }
}
