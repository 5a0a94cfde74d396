// A session is held by a receiver of the broker, and over HTTP by whoever knows its token. The holder lives as long as
// the session's lock: renewing keeps it, letting it lapse lets another one in.
import { randomBytes } from 'node:crypto';
import { Refusal } from '../../kit/refusal.ts';
import type { Receiver } from '../../topics/receive/receiver.ts';

type Holder = { readonly receiver: Receiver; readonly path: string };

const MAX_HOLDERS = 10_000;

export class SessionHolders {
  readonly #holders = new Map<string, Holder>();

  /** Keeps a session's receiver; the token is what the caller sends from now on. */
  add(path: string, receiver: Receiver): string {
    if (this.#holders.size >= MAX_HOLDERS) this.#sweep();
    if (this.#holders.size >= MAX_HOLDERS) throw new Refusal('busy', 'Too many sessions are held over HTTP.');
    const token = randomBytes(24).toString('base64url');
    this.#holders.set(token, { receiver, path: path.toLowerCase() });
    return token;
  }

  /** Refuses (`session_lock_lost`) a token that holds no session of this entity, or holds it no more. */
  get(path: string, token: string): Receiver {
    const holder = this.#holders.get(token);
    if (holder && isLapsed(holder)) this.#holders.delete(token);
    else if (holder?.path === path.toLowerCase()) return holder.receiver;
    throw new Refusal('session_lock_lost', 'This session is not held any more; accept it again.');
  }

  async release(path: string, token: string): Promise<void> {
    const receiver = this.get(path, token);
    this.#holders.delete(token);
    await receiver.close();
  }

  async stop(): Promise<void> {
    const holders = [...this.#holders.values()];
    this.#holders.clear();
    await Promise.all(holders.map(({ receiver }) => receiver.close()));
  }

  #sweep(): void {
    for (const [token, holder] of this.#holders) if (isLapsed(holder)) this.#holders.delete(token);
  }
}

function isLapsed({ receiver }: Holder): boolean {
  const left = receiver.sessionLockLeftMs;
  return left !== undefined && left <= 0;
}
