// One port for everything: the first byte tells the protocol. Clients derive all their addresses from one connection
// string, the older ones speak HTTPS to the port on which they also speak plain AMQP.
import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';

const TLS_HANDSHAKE = 0x16;
const A_OF_AMQP = 0x41;
/** A client that says nothing for so long is not one. */
const SILENCE_MS = 20_000;

export type Handlers = {
  readonly amqp: (socket: Socket) => void;
  readonly http: (socket: Socket) => void;
  readonly secureContext: () => SecureContext;
  readonly broken: (error: Error) => void;
};

/** Hands the socket to whom it belongs, after ending its TLS if there is one. */
export function sniff(socket: Socket, handlers: Handlers, inTls = false): void {
  const giveUp = setTimeout(() => socket.destroy(), SILENCE_MS);
  const failed = (error: Error) => handlers.broken(error);
  socket.on('error', failed);
  socket.once('close', () => clearTimeout(giveUp));
  socket.once('readable', () => {
    const chunk = socket.read() as Buffer | null;
    clearTimeout(giveUp);
    if (chunk === null) return void socket.destroy(); // It ended before it said anything.
    socket.unshift(chunk);
    const first = chunk[0]!;
    if (first === TLS_HANDSHAKE && !inTls) return unwrap(socket, handlers);
    socket.removeListener('error', failed);
    if (first === A_OF_AMQP) handlers.amqp(socket);
    else handlers.http(socket);
  });
}

function unwrap(socket: Socket, handlers: Handlers): void {
  const options = { isServer: true, secureContext: handlers.secureContext(), ALPNProtocols: ['http/1.1', 'amqp'] };
  const secure = new TLSSocket(socket, options);
  sniff(secure, handlers, true);
}
