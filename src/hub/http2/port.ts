// What a push driver needs from an HTTP/2 client: fan out very many small calls over a few long-lived connections and learn, for each,
// whether the peer answered, never processed it (safe to send again), or may have processed it (nobody knows).
// Two implementations: client.ts (ours, frames written directly) and reference.ts (node:http2). One conformance suite runs on both.

import { Bytes } from '../bytes.ts';

/** The part of a request that is the same for many calls: written once per connection, then referred to by index. */
export type RequestHead = {
  readonly method: 'POST' | 'GET' | 'DELETE' | 'PUT';
  /** The `:authority`, e.g. `api.push.apple.com`. */
  readonly authority: string;
  /** Lower-case names and their values, alternating. The object's identity is the cache key: make a new head for a new token. */
  readonly fields: readonly string[];
  /** Adds `content-length`. HTTP/2 does not need it; some services behind proxies want it. */
  readonly sendsLength?: boolean;
};

/**
 * Calls that go out together, told apart by their indexes: a broadcast makes nothing per call. What a call consists of is asked
 * for when its frames are written, which may be once more when the peer certainly did not process it.
 */
export type Calls = {
  readonly head: RequestHead;
  /** Overtake everything that waits for a stream. */
  readonly urgent: boolean;
  readonly timeoutMs: number | undefined;
  /** Good answers are wanted with their fields and bodies. If not, an answer 200 may come without both. */
  readonly whole: boolean;
  /** The fields of this call alone, alternating like those of the head. */
  fields(index: number): readonly string[];
  pathBytes(index: number): number;
  /** Writes the path, of `pathBytes` ASCII characters. */
  writePath(index: number, out: Bytes, at: number): void;
  bodyBytes(index: number): number;
  writeBody(index: number, out: Bytes, at: number): void;
  /** Called exactly once per call, never from inside `post`. Must not throw. */
  settle(index: number, reply: Reply): void;
};

/** One call on its own. */
export type Call = {
  readonly head: RequestHead;
  readonly path: string;
  readonly fields: readonly string[];
  readonly body: string | Uint8Array;
  readonly urgent?: boolean;
  readonly timeoutMs?: number;
  /** Default true. */
  readonly whole?: boolean;
  settle(reply: Reply): void;
};

export type Answer = {
  readonly kind: 'answer';
  readonly status: number;
  /** Lower-case names and values, alternating, pseudo-fields left out, trailers at the end. */
  readonly fields: readonly string[];
  readonly body: Buffer;
};

/**
 * `unprocessed`: the peer certainly did not act on it (never sent, REFUSED_STREAM, above GOAWAY's last stream): send it again.
 * `lost`: it was sent and no answer came; it may or may not have taken effect.
 */
export type Unanswered = { readonly kind: 'unprocessed' | 'lost'; readonly cause: string };

export type Reply = Answer | Unanswered;

export type Transport = {
  /**
   * Hands the call `index` over; its `settle` tells the rest. False means that the window is full: wait for `whenRoom()` before the
   * next one. A caller that goes on regardless is refused (`unprocessed`, cause `queue_full`) at twice the window.
   */
  post(calls: Calls, index: number): boolean;
  /** Resolves when `post` would return true, or when the client is closed. */
  whenRoom(): Promise<void>;
  /** Lets running calls finish for at most `graceMs` (default 5000), then closes. Waiting calls are `unprocessed`. Twice is harmless. */
  close(graceMs?: number): Promise<void>;
};

export type Http2Options = {
  readonly host: string;
  readonly port: number;
  /** SNI and certificate check; default `host`. */
  readonly servername?: string;
  /** Extra trust (PEM), for stand-ins and private services. */
  readonly ca?: string | readonly string[];
  /** Asked before each connection is used, with the address the socket really has: returning a cause refuses it (SSRF guard). */
  readonly refuseAddress?: (address: string) => string | undefined;
  readonly maxConnections?: number;
  /** Our own ceiling of streams per connection; the peer's SETTINGS may be lower. */
  readonly maxStreams?: number;
  /** Calls that may wait for a stream before `post` says false. */
  readonly maxWaiting?: number;
  readonly timeoutMs?: number;
  readonly connectTimeoutMs?: number;
  /** A PING after so much silence; no answer within `pingTimeoutMs` closes the connection. */
  readonly pingAfterMs?: number;
  readonly pingTimeoutMs?: number;
  readonly maxAnswerBytes?: number;
  /** A connection is replaced when its stream ids reach this; default 2^31 - 1, the protocol's end. */
  readonly lastStreamId?: number;
  readonly emit?: (signal: Http2Signal) => void;
};

export type Http2Signal =
  | { readonly name: 'http2.connected'; readonly host: string; readonly tookMs: number; readonly maxStreams: number }
  | { readonly name: 'http2.connect-failed'; readonly host: string; readonly cause: string }
  | { readonly name: 'http2.goaway'; readonly host: string; readonly code: number; readonly debug: string }
  | { readonly name: 'http2.closed'; readonly host: string; readonly cause: string; readonly lost: number };

/** The first value of a field; names are lower case. */
export function field(answer: Answer, name: string): string | undefined {
  const { fields } = answer;
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1];
  return undefined;
}

/** One call as calls, of which it is the first. */
export class SingleCall implements Calls {
  readonly head: RequestHead;
  readonly urgent: boolean;
  readonly timeoutMs: number | undefined;
  readonly whole: boolean;
  readonly #call: Call;
  readonly #body: Uint8Array;

  constructor(call: Call) {
    this.#call = call;
    this.head = call.head;
    this.urgent = call.urgent ?? false;
    this.timeoutMs = call.timeoutMs;
    this.whole = call.whole ?? true;
    this.#body = typeof call.body === 'string' ? Buffer.from(call.body) : call.body;
  }

  fields(): readonly string[] {
    return this.#call.fields;
  }

  pathBytes(): number {
    return this.#call.path.length;
  }

  writePath(_: number, out: Bytes, at: number): void {
    out.buffer.write(this.#call.path, at, 'latin1');
  }

  bodyBytes(): number {
    return this.#body.length;
  }

  writeBody(_: number, out: Bytes, at: number): void {
    out.buffer.set(this.#body, at);
  }

  settle(_: number, reply: Reply): void {
    this.#call.settle(reply);
  }
}

export function pathOf(calls: Calls, index: number): string {
  const bytes = calls.pathBytes(index);
  const out = new Bytes(bytes);
  calls.writePath(index, out, 0);
  return out.slice(0, bytes);
}

export function bodyOf(calls: Calls, index: number): Buffer {
  const bytes = calls.bodyBytes(index);
  const out = new Bytes(bytes);
  calls.writeBody(index, out, 0);
  return out.buffer.subarray(0, bytes);
}

/** Hands over one call on its own; see Transport.post. */
export function postOne(client: Transport, call: Call): boolean {
  return client.post(new SingleCall(call), 0);
}

/** One call as a promise: for rare calls (tokens, channels), not for fan-out. */
export function ask(client: Transport, call: Omit<Call, 'settle'>): Promise<Reply> {
  return new Promise((resolve) => {
    postOne(client, { ...call, settle: resolve });
  });
}
