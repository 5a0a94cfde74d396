// The owner's side of the link: carries out seat calls of other nodes and takes their hints.
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { Refusal } from '../../kit/refusal.ts';
import type { Owners } from '../owner/owners.ts';
import { LocalSeat, type ReceiveOptions, type Seat } from '../receive/seat.ts';
import { type Call, type Frame, LINK_IDENTITY, LINK_TLS, Peer, quiet } from './frames.ts';

type Deps = {
  readonly owners: Owners;
  readonly secret: Buffer;
  readonly grown: (topic: number, part: number) => void;
  readonly changed: (topic: number) => void;
  readonly released: () => void;
};

/** The seat's methods that may be called from afar. */
const METHODS: ReadonlySet<string> = new Set([
  'receive',
  'settle',
  'renew',
  'peek',
  'receiveDeferred',
  'acceptSession',
  'renewSession',
  'releaseSession',
  'sessionIds',
  'sessionHeld',
  'redrive',
  'purge',
  'counts',
]);

export class LinkServer {
  readonly #deps: Deps;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** `host:port`, for the node's row. */
  address = '';

  private constructor(deps: Deps) {
    this.#deps = deps;
    const pskCallback = (_: TLSSocket, identity: string) => (identity === LINK_IDENTITY ? deps.secret : null);
    const options = { ...LINK_TLS, pskCallback, handshakeTimeout: 5_000 };
    this.#server = createServer(options, (socket) => this.#accept(socket));
    // Whoever does not get through the handshake is cut off; there is nobody to tell.
    this.#server.on('tlsClientError', (_, socket) => socket.destroy());
    this.#server.on('connection', (socket: Socket) => {
      quiet(socket);
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(deps: Deps, place: { readonly host: string; readonly port: number }): Promise<LinkServer> {
    const link = new LinkServer(deps);
    await new Promise<void>((resolve, reject) => {
      link.#server.once('error', reject);
      link.#server.listen(place.port, place.host, resolve);
    });
    const bound = link.#server.address();
    const port = typeof bound === 'object' && bound ? bound.port : place.port;
    link.address = `${place.host}:${port}`;
    return link;
  }

  #accept(socket: TLSSocket): void {
    const calls = new Map<number, AbortController>();
    const peer: Peer = new Peer(socket, (frame) => void this.#handle(peer, calls, frame));
    socket.on('close', () => {
      for (const call of calls.values()) call.abort();
    });
  }

  async #handle(peer: Peer, calls: Map<number, AbortController>, frame: Frame): Promise<void> {
    if (frame.kind === 'grown') this.#deps.grown(frame.topic, frame.part);
    else if (frame.kind === 'changed') this.#deps.changed(frame.topic);
    else if (frame.kind === 'released') this.#deps.released();
    else if (frame.kind === 'abort') calls.get(frame.id)?.abort();
    else if (frame.kind === 'call') {
      const { id, call } = frame;
      const stop = new AbortController();
      calls.set(id, stop);
      try {
        peer.send({ kind: 'result', id, value: await this.#call(call, stop.signal) });
      } catch (error) {
        const code = error instanceof Refusal ? error.code : undefined;
        peer.send({ kind: 'failure', id, code, message: error instanceof Error ? error.message : String(error) });
      } finally {
        calls.delete(id);
      }
    }
  }

  async #call(call: Call, signal: AbortSignal): Promise<unknown> {
    const cursor = this.#deps.owners.find(call.topic, call.part)?.cursors.get(call.subscription);
    if (!cursor || !METHODS.has(call.method)) throw new Refusal('lock_lost', 'This node does not own the partition.');
    const seat: Seat = new LocalSeat(cursor, call.entity);
    if (call.method === 'receive') return this.#receive(seat, call.args[0] as ReceiveOptions, signal);
    if (call.method === 'acceptSession') {
      const grant = await seat.acceptSession(call.args[0] as string | undefined, call.args[1] as number, signal);
      if (!grant || !signal.aborted) return grant;
      // Nobody waits for it any more: whoever comes next may have it.
      return seat.releaseSession(grant);
    }
    // The method's name was checked above, its arguments come from a node of ours.
    const method = seat[call.method as 'counts'] as (...args: readonly unknown[]) => Promise<unknown>;
    return method.apply(seat, [...call.args]);
  }

  /** What was handed out for a caller that has gone comes back, uncounted. */
  async #receive(seat: Seat, options: ReceiveOptions, signal: AbortSignal): Promise<unknown> {
    const handed = await seat.receive({ ...options, signal });
    if (signal.aborted && !options.destructive && handed.length > 0) {
      const holds = handed.map(({ message, attempt }) => ({ sequence: message.sequence, attempt }));
      await seat.settle(holds, { kind: 'abandon', counted: false }, options.session);
      return [];
    }
    return handed;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
