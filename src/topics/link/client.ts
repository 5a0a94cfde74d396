// The other side of the link: one connection per node that owns something this node's consumers want.
import { connect, type TLSSocket } from 'node:tls';
import { Refusal, type RefusalCode, refusals } from '../../kit/refusal.ts';
import type { Counts } from '../owner/counts.ts';
import type { DeadSelection } from '../receive/redrive.ts';
import type { Handed, Hold, Peeked, ReceiveOptions, Seat, SessionGrant } from '../receive/seat.ts';
import type { Settlement } from '../receive/settle.ts';
import { type Call, type Frame, LINK_IDENTITY, LINK_TLS, Peer } from './frames.ts';

type Waiting = { readonly resolve: (value: unknown) => void; readonly reject: (error: unknown) => void };

/** The owner could not be reached, or went away during the call. Another one takes over within seconds. */
class LinkLost extends Error {}

class Link {
  readonly #socket: TLSSocket;
  readonly #peer: Peer;
  readonly #ready: Promise<void>;
  readonly #waiting = new Map<number, Waiting>();
  #calls = 0;
  closed = false;

  constructor(address: string, secret: Buffer) {
    const at = address.lastIndexOf(':');
    const socket = connect({
      ...LINK_TLS,
      host: address.slice(0, at),
      port: Number(address.slice(at + 1)),
      pskCallback: () => ({ psk: secret, identity: LINK_IDENTITY }),
      // The key proves the other side; there is no certificate.
      checkServerIdentity: () => undefined,
    });
    this.#socket = socket;
    this.#peer = new Peer(socket, (frame) => this.#handle(frame));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.once('secureConnect', resolve).once('close', () => reject(new Error('the connection was closed')));
    promise.catch(() => {});
    this.#ready = promise;
    socket.on('close', () => this.#lost());
  }

  async call(call: Call, signal?: AbortSignal): Promise<unknown> {
    await this.#ready.catch(() => {
      throw new LinkLost('The owner of the partition cannot be reached.');
    });
    if (this.closed) throw new LinkLost('The owner of the partition went away.');
    const id = ++this.#calls;
    const abort = () => this.#peer.send({ kind: 'abort', id });
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#peer.send({ kind: 'call', id, call });
      if (signal?.aborted) abort();
      else signal?.addEventListener('abort', abort, { once: true });
    }).finally(() => {
      this.#waiting.delete(id);
      signal?.removeEventListener('abort', abort);
    });
  }

  hint(frame: Frame): void {
    void this.#ready.then(
      () => this.#peer.send(frame),
      () => {},
    );
  }

  #handle(frame: Frame): void {
    if (frame.kind === 'result') this.#waiting.get(frame.id)?.resolve(frame.value);
    else if (frame.kind === 'failure') this.#waiting.get(frame.id)?.reject(toError(frame.code, frame.message));
  }

  #lost(): void {
    this.closed = true;
    for (const { reject } of this.#waiting.values()) reject(new LinkLost('The owner of the partition went away.'));
  }

  close(): void {
    this.#socket.destroy();
  }
}

function toError(code: string | undefined, message: string): Error {
  return code !== undefined && code in refusals ? new Refusal(code as RefusalCode, message) : new Error(message);
}

export class Links {
  readonly #secret: Buffer;
  readonly #byAddress = new Map<string, Link>();

  constructor(secret: Buffer) {
    this.#secret = secret;
  }

  to(address: string): Link {
    const known = this.#byAddress.get(address);
    if (known && !known.closed) return known;
    const link = new Link(address, this.#secret);
    this.#byAddress.set(address, link);
    return link;
  }

  close(): void {
    for (const link of this.#byAddress.values()) link.close();
  }
}

function isBetweenOwners(error: unknown): boolean {
  return error instanceof Refusal && (error.code === 'busy' || error.code === 'lock_lost');
}

type Target = Omit<Call, 'method' | 'args'> & { readonly epoch: number; readonly address: string };

/** A seat at a partition that another node owns. */
export class RemoteSeat implements Seat {
  readonly part: number;
  readonly epoch: number;
  readonly #links: Links;
  readonly #target: Target;
  readonly #onLost: () => void;

  /** `onLost` is told when the owner does not answer as one: it is time to look who owns the partition. */
  constructor(links: Links, target: Target, onLost: () => void) {
    this.part = target.part;
    this.epoch = target.epoch;
    this.#links = links;
    this.#target = target;
    this.#onLost = onLost;
  }

  async #call<T>(method: string, args: readonly unknown[], signal?: AbortSignal): Promise<T> {
    const { topic, part, subscription, entity, address } = this.#target;
    try {
      const call = { topic, part, subscription, entity, method, args };
      // The owner runs the method of the same name and type.
      return (await this.#links.to(address).call(call, signal)) as T;
    } catch (error) {
      if (error instanceof LinkLost || (error instanceof Refusal && error.code === 'lock_lost')) this.#onLost();
      throw error instanceof LinkLost ? new Refusal('busy', error.message, {}, error) : error;
    }
  }

  async receive({ signal, ...options }: ReceiveOptions): Promise<Handed[]> {
    try {
      return await this.#call<Handed[]>('receive', [options], signal);
    } catch (error) {
      if (!isBetweenOwners(error)) throw error;
      // The partition is between two owners. Whoever waits tries again; not in a hurry.
      await new Promise((resolve) => setTimeout(resolve, Math.min(options.waitMs, 200)));
      return [];
    }
  }

  async settle(holds: readonly Hold[], how: Settlement, session?: SessionGrant): Promise<boolean[]> {
    try {
      return await this.#call<boolean[]>('settle', [holds, how, session]);
    } catch (error) {
      if (isBetweenOwners(error)) return holds.map(() => false);
      throw error;
    }
  }

  renew(holds: readonly Hold[]): Promise<number[]> {
    return this.#call('renew', [holds]);
  }

  peek(from: number, max: number, session?: string): Promise<Peeked[]> {
    return this.#call('peek', [from, max, session]);
  }

  receiveDeferred(sequences: readonly number[], session?: SessionGrant): Promise<Handed[]> {
    return this.#call('receiveDeferred', [sequences, session]);
  }

  acceptSession(id: string | undefined, waitMs: number, signal?: AbortSignal): Promise<SessionGrant | undefined> {
    return this.#call('acceptSession', [id, waitMs], signal);
  }

  renewSession(grant: SessionGrant): Promise<number> {
    return this.#call('renewSession', [grant]);
  }

  releaseSession(grant: SessionGrant): Promise<void> {
    return this.#call('releaseSession', [grant]);
  }

  sessionIds(): Promise<string[]> {
    return this.#call('sessionIds', []);
  }

  sessionHeld(grant: SessionGrant): Promise<boolean> {
    return this.#call('sessionHeld', [grant]);
  }

  redrive(which: DeadSelection, after: number): Promise<{ moved: number; last: number | undefined }> {
    return this.#call('redrive', [which, after]);
  }

  purge(): Promise<number> {
    return this.#call('purge', []);
  }

  counts(): Promise<Counts> {
    return this.#call('counts', []);
  }
}
