// What every contender looks like to the runner. One process holds the client (or, for ours, the broker); the server
// behind it, PostgreSQL for ours, is a process of its own on the same machine.

export type Flow = {
  /** Messages that are received and completed together, where the contender can. */
  readonly batch: number;
  /** Batches on their way at once, per subscription. */
  readonly outstanding: number;
};

export type Sink = {
  readonly received: (ids: readonly string[]) => void;
  /** Called when the completions are confirmed, as far as the contender confirms them. */
  readonly completed: (ids: readonly string[]) => void;
};

export type Topic = {
  /** Appends the messages together, for every subscription; resolves when the contender says that it has them. */
  readonly publish: (ids: readonly string[]) => Promise<void>;
  /** Receives and completes from all subscriptions until the function that it returns is called. */
  readonly consume: (flow: Flow, sink: Sink) => Promise<() => Promise<void>>;
  readonly close: () => Promise<void>;
};

export type Peer = {
  readonly name: string;
  readonly open: (subscriptions: number) => Promise<Topic>;
  readonly stop: () => Promise<void>;
};

export const BODY_BYTES = 1024;
const ID_BYTES = 24;
const filling = Buffer.alloc(BODY_BYTES, 'x');

/** 1 KB that starts with the id. */
export function bodyOf(id: string): Buffer {
  const body = Buffer.from(filling);
  body.write(id.padEnd(ID_BYTES), 'latin1');
  return body;
}

export function idOf(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, ID_BYTES).toString('latin1').trimEnd();
}

const text = 'x'.repeat(BODY_BYTES - ID_BYTES - 20);

/** The same 1 KB for contenders that store JSON. */
export function jsonOf(id: string): { readonly id: string; readonly text: string } {
  return { id, text };
}

let names = 0;
/** A name that no server of this run has seen. */
export function freshName(): string {
  return `bench-${++names}`;
}

/** Loops of `work` that go on until they are stopped; `work` has to come back within a second or so when idle. */
export function loops(count: number, work: (worker: number) => Promise<void>): () => Promise<void> {
  let stopped = false;
  const loop = async (worker: number) => {
    while (!stopped) await work(worker);
  };
  const all = Promise.all(Array.from({ length: count }, (_, worker) => loop(worker)));
  all.catch(() => {});
  return async () => {
    stopped = true;
    await all;
  };
}
