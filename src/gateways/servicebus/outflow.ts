// What leaves on a link of a client's receiver: as much as the client has given credit, no faster than it reads, and every
// drain is answered. Where the messages come from, and what becomes of those that do not fit any more, is the supply's.
import { isPending, type WireLink } from './amqp/link.ts';
import type { Tell } from './errors.ts';

export type Supply<M> = {
  /** Up to `max`; waits for the first one. Throws what the link is to be closed with. */
  take(max: number, waitMs: number, signal: AbortSignal): Promise<readonly M[]>;
  /** Writes it to the link. */
  send(message: M): void;
  /** These were taken, but the client's credit is gone. */
  giveBack(messages: readonly M[]): Promise<void>;
};

/** Most messages of one call: keeps a client with much credit from holding the others up. */
const MOST_AT_ONCE = 256;
/** A socket with more than this unsent is left alone until it has caught up. */
const MOST_UNSENT_BYTES = 4 * 1024 * 1024;
const FOREVER_MS = 2 ** 31 - 1;

export class Outflow<M> {
  readonly #link: WireLink;
  readonly #supply: Supply<M>;
  readonly #tell: Tell;
  readonly #closed: AbortController;
  /** Absolute numbers of deliveries: how far the client's credit reaches, and how many were sent. */
  #limit = 0;
  #sent = 0;
  #running = false;
  #interrupt = new AbortController();
  #asked = 0;

  /** `closed` is aborted when the link is gone, by whomever. */
  constructor(link: WireLink, supply: Supply<M>, tell: Tell, closed: AbortController) {
    this.#link = link;
    this.#supply = supply;
    this.#tell = tell;
    this.#closed = closed;
  }

  /** Answers the attach, which was held, and begins. */
  start(): void {
    const link = this.#link;
    link.on('sender_flow', () => this.#flow());
    link.open();
    // Flow that came while the attach was held was noted by rhea, but told to nobody.
    if (link.credit > 0) setImmediate(() => this.#flow());
  }

  #flow(): void {
    this.#limit = this.#link.delivery_count + this.#link.credit;
    if (this.#limit - this.#sent < this.#asked || this.#draining) this.#interrupt.abort();
    void this.#run();
  }

  get #draining(): boolean {
    return (this.#link as unknown as { _draining: boolean })._draining === true;
  }

  get #open(): boolean {
    return !this.#closed.signal.aborted && this.#link.is_open();
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#open && (this.#sent < this.#limit || this.#draining)) await this.#step();
    } catch (error) {
      this.fail(error);
    } finally {
      this.#running = false;
    }
  }

  async #step(): Promise<void> {
    if (isPending(this.#link)) return void (await turn());
    const draining = this.#draining;
    const wanted = Math.min(this.#limit - this.#sent, MOST_AT_ONCE);
    const messages = wanted > 0 ? await this.#take(wanted, draining ? 0 : FOREVER_MS) : [];
    if (messages.length > 0) return this.#send(messages);
    if (draining && this.#draining) await this.#answerDrain();
  }

  async #take(max: number, waitMs: number): Promise<readonly M[]> {
    this.#interrupt = new AbortController();
    this.#asked = max;
    try {
      const signal = waitMs > 0 ? AbortSignal.any([this.#interrupt.signal, this.#closed.signal]) : this.#closed.signal;
      return await this.#supply.take(max, waitMs, signal);
    } finally {
      this.#asked = 0;
    }
  }

  async #send(messages: readonly M[]): Promise<void> {
    const fitting = this.#open ? Math.min(messages.length, this.#limit - this.#sent) : 0;
    for (const message of messages.slice(0, fitting)) {
      this.#sent++;
      this.#supply.send(message);
    }
    if (fitting < messages.length) await this.#supply.giveBack(messages.slice(fitting));
    await this.#caughtUp();
  }

  /** Waits while the client reads more slowly than we write. */
  async #caughtUp(): Promise<void> {
    const socket = this.#link.connection.socket as { writableLength?: number };
    while (this.#open && (socket.writableLength ?? 0) > MOST_UNSENT_BYTES) await new Promise((go) => setTimeout(go, 5));
  }

  /** The answer says that all credit is used; transfers that still wait for the session's window go first. */
  async #answerDrain(): Promise<void> {
    while (this.#open && this.#link.delivery_count < this.#sent) await new Promise((go) => setTimeout(go, 2));
    if (!this.#open) return;
    this.#sent = this.#limit;
    this.#link.set_drained(true);
    this.#link.connection._register();
    await turn();
  }

  /** Closes the link with the reason, unless it is closed already. */
  fail(error: unknown): void {
    if (!this.#open) return;
    this.#link.close(this.#tell(error));
    this.#closed.abort();
  }
}

/** Is aborted when the client's link, its session or its connection is gone. */
export function closing(link: WireLink): AbortController {
  const closed = new AbortController();
  const end = () => closed.abort();
  const { session, connection } = link;
  for (const many of [session, connection]) many.setMaxListeners(0); // Each link of theirs listens.
  link.on('sender_close', end);
  session.on('session_close', end);
  connection.on('disconnected', end);
  // A connection may see any number of links come and go.
  closed.signal.addEventListener('abort', () => {
    session.removeListener('session_close', end);
    connection.removeListener('disconnected', end);
  });
  return closed;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
