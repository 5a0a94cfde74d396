// The push service as Chromium sees it (Google's GCM): a check-in and a registration over HTTP, then one TLS connection that carries
// the pushes (MCS). Addresses lie on a Web Push stand-in, which hands the pushes on, still encrypted: only the browser has the keys.
//
// Chromium is pointed here by the flags of `flags`. It invents its addresses on Google's origin, so the hub that pushes needs
// `origins: standin.origins`. Field numbers are those of checkin.proto and mcs.proto in Chromium's google_apis/gcm/protocol.

import { createHash, randomUUID, X509Certificate } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import type { LocalCertificate } from '../../src/kit/certificate.ts';
import { encode, readVarint, varint } from './protobuf.ts';
import type { RawPush, WebPushStandin } from './webpush.ts';

const MCS_VERSION = 41;
const tags = { heartbeatPing: 0, heartbeatAck: 1, loginRequest: 2, loginResponse: 3, dataMessage: 8 } as const;
/** Where an unbranded build believes its push service to be; a branded one says fcm.googleapis.com. */
const believed = ['https://jmt17.google.com', 'https://fcm.googleapis.com'];

type Registration = { readonly app: string; readonly subtype: string; readonly sender: string };

export class ChromiumPushStandin {
  /** By token. */
  readonly #registrations = new Map<string, Registration>();
  readonly #sockets = new Set<Socket>();
  readonly #webpush: WebPushStandin;
  readonly #certificate: LocalCertificate;
  readonly #http: Server;
  readonly #mcs: TlsServer;
  #browser: TLSSocket | undefined;

  private constructor(webpush: WebPushStandin, certificate: LocalCertificate) {
    this.#webpush = webpush;
    this.#certificate = certificate;
    this.#http = createServer((request, response) => void this.#answer(request, response));
    this.#mcs = createTlsServer(certificate, (socket) => this.#talk(socket));
  }

  static async start(webpush: WebPushStandin, certificate: LocalCertificate): Promise<ChromiumPushStandin> {
    const standin = new ChromiumPushStandin(webpush, certificate);
    for (const server of [standin.#http, standin.#mcs]) {
      server.on('connection', (socket: Socket) => standin.#keep(socket));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    }
    return standin;
  }

  /** What Chromium is started with. Its own switches against background traffic must not be among the others. */
  get flags(): readonly string[] {
    const http = `http://127.0.0.1:${portOf(this.#http)}`;
    const key = new X509Certificate(this.#certificate.cert).publicKey.export({ type: 'spki', format: 'der' });
    return [
      `--gcm-checkin-url=${http}/checkin`,
      `--gcm-registration-url=${http}/register3`,
      `--gcm-mcs-endpoint=https://127.0.0.1:${portOf(this.#mcs)}`,
      `--ignore-certificate-errors-spki-list=${createHash('sha256').update(key).digest('base64')}`,
    ];
  }

  /** For the hub: where what is addressed to Google goes instead. */
  get origins(): Readonly<Record<string, string>> {
    return Object.fromEntries(believed.map((origin) => [origin, this.#webpush.service.url]));
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([this.#http, this.#mcs].map((server) => new Promise((resolve) => server.close(resolve))));
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url === '/checkin') {
      request.resume();
      const device = { fixed64: 4_711n };
      const body = encode([
        [1, true],
        [3, BigInt(Date.now())],
        [7, device],
        [8, device],
      ]);
      return void response.setHeader('content-type', 'application/x-protobuf').end(body);
    }
    const form = new URLSearchParams(await text(request));
    response.end(form.has('delete') ? this.#unregister(form) : this.#register(form));
  }

  #register(form: URLSearchParams): string {
    const token = randomUUID();
    const registration = {
      app: form.get('app') ?? '',
      subtype: form.get('X-subtype') ?? '',
      sender: form.get('sender') ?? '',
    };
    this.#registrations.set(token, registration);
    const deliver = (push: RawPush): void => this.#deliver(registration, push);
    for (const folder of ['/fcm/send', '/wp'])
      this.#webpush.attach(`${folder}/${token}`, { deliver, audiences: believed });
    return `token=${token}`;
  }

  #unregister(form: URLSearchParams): string {
    for (const [token, { subtype }] of this.#registrations) {
      if (subtype !== form.get('X-subtype')) continue;
      this.#registrations.delete(token);
      for (const folder of ['/fcm/send', '/wp']) this.#webpush.detach(`${folder}/${token}`);
    }
    return `deleted=${form.get('app')}`;
  }

  #talk(socket: TLSSocket): void {
    this.#browser = socket;
    let rest = Buffer.alloc(0);
    let greeted = false;
    socket.on('error', () => {});
    socket.on('data', (piece: Buffer) => {
      rest = Buffer.concat([rest, piece]);
      if (!greeted && rest.length > 0) {
        greeted = true;
        rest = rest.subarray(1);
        socket.write(Buffer.from([MCS_VERSION]));
      }
      for (let frame = frameOf(rest); frame !== undefined; frame = frameOf(rest)) {
        rest = rest.subarray(frame.end);
        if (frame.tag === tags.loginRequest)
          send(
            socket,
            tags.loginResponse,
            encode([
              [1, 'login'],
              [8, BigInt(Date.now())],
            ]),
          );
        if (frame.tag === tags.heartbeatPing) send(socket, tags.heartbeatAck, Buffer.alloc(0));
      }
    });
  }

  #deliver({ app, subtype, sender }: Registration, { body, encoding }: RawPush): void {
    const data: readonly (readonly [string, string])[] = [
      ['subtype', subtype],
      ...(body.length === 0 ? [] : [['content-encoding', encoding] as const]),
    ];
    const fields = data.map(
      ([key, value]) =>
        [
          7,
          encode([
            [1, key],
            [2, value],
          ]),
        ] as const,
    );
    const message = encode([[3, sender], [5, app], ...fields, [9, randomUUID()], [21, body]]);
    if (this.#browser) send(this.#browser, tags.dataMessage, message);
  }
}

function send(socket: TLSSocket, tag: number, message: Buffer): void {
  socket.write(Buffer.concat([Buffer.from([tag]), varint(message.length), message]));
}

function frameOf(bytes: Buffer): { readonly tag: number; readonly end: number } | undefined {
  const length = readVarint(bytes, 1);
  if (length === undefined || bytes.length < length.end + length.value) return undefined;
  return { tag: bytes[0]!, end: length.end + length.value };
}

function portOf(server: Server | TlsServer): number {
  return (server.address() as AddressInfo).port; // it listens on TCP
}
