// Tells the other nodes what has changed: whose inbox, which conversation. A hint is only a hint: it carries ids, never
// content, and a lost one is made good by the poll of the streams. Hints are gathered for a few milliseconds and sent on a connection of their own:
// a NOTIFY inside the transactions that it is about would make their commits wait for each other.
import type pg from 'pg';
import { type Database, statement } from './database.ts';
import { freshId } from './ids.ts';

const NOTIFY = statement('kit.hints', 'select pg_notify($1, text) from unnest($2::text[]) as hint (text)');
/** PostgreSQL takes less than 8,000 bytes in one notification. */
const MAX_PAYLOAD = 7_500;
/** With more than this many payloads at once we say "everybody" instead. */
const MAX_PAYLOADS = 4;
const EVERYBODY = '*';
const GATHER_MS = 20;
const RECONNECT_MS = 1_000;

export type Hinted = { readonly kind: 'some'; readonly ids: readonly string[] } | { readonly kind: 'everybody' };

export type HintsOptions = {
  /** A name in small letters; whoever listens to the same one hears the hints. */
  readonly channel: string;
  /** Called with what other nodes said; with `everybody` as well whenever the connection was away. */
  readonly onHint: (hinted: Hinted) => void;
  readonly onFault: (error: unknown) => void;
};

export class Hints {
  readonly #database: Database;
  readonly #channel: string;
  readonly #onHint: (hinted: Hinted) => void;
  readonly #onFault: (error: unknown) => void;
  readonly #self = freshId('nod');
  readonly #gathered = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> = Promise.resolve();
  #client: pg.Client | undefined;
  #stopped = false;

  constructor(database: Database, { channel, onHint, onFault }: HintsOptions) {
    this.#database = database;
    this.#channel = channel;
    this.#onHint = onHint;
    this.#onFault = onFault;
  }

  async start(): Promise<void> {
    await this.#listen();
  }

  /** Tells the others, within some 20 ms, that these have changed. Ids have no blanks. */
  tell(ids: Iterable<string>): void {
    for (const id of ids) this.#gathered.add(id);
    if (this.#stopped || this.#gathered.size === 0) return;
    this.#timer ??= setTimeout(() => this.#send(), GATHER_MS).unref();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#sending;
    await this.#client?.end();
  }

  #send(): void {
    this.#timer = undefined;
    const payloads = pack(this.#self, this.#gathered);
    this.#gathered.clear();
    this.#sending = this.#sending
      .then(() => this.#database.query(NOTIFY, [this.#channel, payloads]))
      .then(() => undefined, this.#onFault);
  }

  async #listen(): Promise<void> {
    const client = await this.#database.dedicated(`${this.#channel} hints`);
    client.on('notification', ({ payload }) => this.#hear(payload ?? ''));
    client.on('error', () => this.#reconnect(client));
    client.on('end', () => this.#reconnect(client));
    await client.query(`listen ${this.#channel}`);
    if (this.#stopped) return client.end();
    this.#client = client;
  }

  #reconnect(lost: pg.Client): void {
    if (this.#stopped || this.#client !== lost) return;
    this.#client = undefined;
    const retry = () => {
      if (this.#stopped) return;
      this.#listen().then(
        () => this.#onHint({ kind: 'everybody' }),
        (error: unknown) => {
          this.#onFault(error);
          setTimeout(retry, RECONNECT_MS).unref();
        },
      );
    };
    setTimeout(retry, RECONNECT_MS).unref();
  }

  #hear(payload: string): void {
    const [from, ...ids] = payload.split(' ');
    if (from === this.#self) return;
    this.#onHint(ids[0] === EVERYBODY ? { kind: 'everybody' } : { kind: 'some', ids });
  }
}

/** `<node> <id> <id> ...`, as many payloads as it takes; ids have no blanks. */
function pack(self: string, ids: ReadonlySet<string>): string[] {
  const payloads: string[] = [];
  let payload = self;
  for (const id of ids) {
    if (payload.length + id.length + 1 > MAX_PAYLOAD) {
      payloads.push(payload);
      payload = self;
    }
    payload += ` ${id}`;
  }
  payloads.push(payload);
  return payloads.length > MAX_PAYLOADS ? [`${self} ${EVERYBODY}`] : payloads;
}
