// AMQP over WebSockets, for clients behind proxies: the same bytes in binary frames, at one path.

import type { IncomingMessage } from 'node:http';
import { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';

const PATH = '/$servicebus/websocket';
const PROTOCOLS = ['AMQPWSB10', 'amqp'];
const MOST_FRAME_BYTES = 1024 * 1024;

/** Upgrades requests to the AMQP path; everything else is refused. */
export class WebSocketDoor {
  readonly #server: WebSocketServer;
  readonly #accept: (stream: Duplex) => void;

  constructor(accept: (stream: Duplex) => void) {
    this.#accept = accept;
    const handleProtocols = (offered: Set<string>) => PROTOCOLS.find((name) => offered.has(name)) ?? false;
    this.#server = new WebSocketServer({ noServer: true, handleProtocols, maxPayload: MOST_FRAME_BYTES });
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const path = (request.url ?? '').replace(/\?.*$/, '').replace(/\/$/, '');
    if (path.toLowerCase() !== PATH) {
      socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n');
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#accept(new WebSocketStream(webSocket)));
  }
}

/** A WebSocket as the socket that the AMQP engine expects. */
class WebSocketStream extends Duplex {
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    super();
    this.#socket = socket;
    socket.binaryType = 'nodebuffer';
    socket.on('message', (data: Buffer) => {
      if (!this.push(data)) socket.pause();
    });
    socket.on('close', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.send(chunk, { binary: true }, done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#socket.send(Buffer.concat(chunks.map(({ chunk }) => chunk)), { binary: true }, done);
  }

  override _final(done: () => void): void {
    this.#socket.close();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.terminate();
    done(error);
  }
}
