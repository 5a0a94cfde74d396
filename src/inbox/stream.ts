// The open streams of this node. Whoever commits a change of an inbox tells it here, after the commit; open streams of
// that person hear it from memory. Other nodes get a hint and read. A slow poll makes good what both have missed.
import type { Database } from '../kit/database.ts';
import { type Hinted, Hints } from '../kit/hints.ts';
import { Refusal } from '../kit/refusal.ts';
import type { Emit } from '../kit/signals.ts';
import type { Appended } from './append.ts';
import { itemsAfter, readHead, readHeads } from './feed.ts';
import { newItem } from './item.ts';
import type { Change, Marked } from './mark.ts';
import { type EndReason, InboxReader, type ReadAfter } from './reader.ts';

export type InboxSignal =
  | { readonly name: 'inbox.stream-opened'; readonly open: number }
  | { readonly name: 'inbox.stream-closed'; readonly open: number; readonly reason: EndReason | 'closed' }
  | { readonly name: 'inbox.fault'; readonly error: unknown };

export type InboxStreamSettings = {
  /** Open streams of one node; more are refused as `busy`. */
  readonly maxStreams: number;
  readonly maxStreamsPerRecipient: number;
  /** A stream whose client takes nothing for this long is ended; the client resumes where it was. */
  readonly stalledAfterMs: number;
  /** How often open streams are compared with the database. */
  readonly pollMs: number;
};

export const inboxStreamDefaults: InboxStreamSettings = {
  maxStreams: 20_000,
  maxStreamsPerRecipient: 32,
  stalledAfterMs: 60_000,
  pollMs: 5_000,
};

export type InboxStreamDeps = {
  readonly database: Database;
  readonly emit: Emit<InboxSignal>;
  readonly settings?: Partial<InboxStreamSettings>;
};

const POLL_CHUNK = 1_000;

export class InboxStream {
  readonly #database: Database;
  readonly #emit: Emit<InboxSignal>;
  readonly #settings: InboxStreamSettings;
  readonly #hints: Hints;
  readonly #readers = new Map<string, Set<InboxReader>>();
  readonly #readAfter: ReadAfter;
  #open = 0;
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> | undefined;
  #stopped = false;

  private constructor({ database, emit, settings }: InboxStreamDeps) {
    this.#database = database;
    this.#emit = emit;
    this.#settings = { ...inboxStreamDefaults, ...settings };
    this.#hints = new Hints(database, {
      channel: 'carillon_inbox',
      onHint: (hinted) => this.#heard(hinted),
      onFault: (error) => emit({ name: 'inbox.fault', error }),
    });
    this.#readAfter = async (recipientId, after, limit) => {
      const head = await readHead(database, recipientId);
      const nothingNew = after === undefined || after >= head.position;
      return { head, items: nothingNew ? [] : await itemsAfter(database, recipientId, after, limit) };
    };
  }

  static async start(deps: InboxStreamDeps): Promise<InboxStream> {
    const stream = new InboxStream(deps);
    await stream.#hints.start();
    stream.#schedule();
    return stream;
  }

  /** Ends all open streams. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const reader of this.#everyReader()) reader.close('stopped');
    await this.#polling;
    await this.#hints.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Streams that are open on this node. */
  get open(): number {
    return this.#open;
  }

  /**
   * Opens a stream of one person's inbox: first the counts, then the items after the position `after` (a client's
   * `Last-Event-ID`; left out: only what comes after the first `next()`), then what happens. The caller iterates, and stops
   * iterating or calls `close()` when its client is gone. Throws `busy` or `stopping`.
   */
  reader(recipientId: string, after?: number): InboxReader {
    if (this.#stopped) throw new Refusal('stopping', 'The server is stopping.');
    const readers = this.#readers.get(recipientId) ?? new Set();
    if (readers.size >= this.#settings.maxStreamsPerRecipient || this.#open >= this.#settings.maxStreams) {
      throw new Refusal('busy', 'Too many streams are open.', { open: readers.size });
    }
    const reader: InboxReader = new InboxReader(recipientId, after, this.#readAfter, () => this.#closed(reader));
    this.#readers.set(recipientId, readers.add(reader));
    this.#open++;
    this.#emit({ name: 'inbox.stream-opened', open: this.#open });
    return reader;
  }

  /** Call after the commit that appended these. */
  appended(appended: readonly Appended[]): void {
    for (const { given, position, head } of appended) {
      const readers = position === undefined ? undefined : this.#readers.get(given.notice.recipientId);
      if (!readers || position === undefined || head === undefined) continue;
      const item = newItem(given.notice, position);
      for (const reader of readers) reader.push(item, head);
    }
    this.#hints.tell(recipientsOf(appended));
  }

  /** Call after the commit that marked items. */
  marked(recipientId: string, marked: Marked, as: Change): void {
    if (marked.ids.length === 0) return;
    for (const reader of this.#readers.get(recipientId) ?? []) reader.pushMarked(marked, as);
    this.#hints.tell([recipientId]);
  }

  /** Ends the streams of a person who is forgotten. */
  forget(recipientId: string): void {
    for (const reader of [...(this.#readers.get(recipientId) ?? [])]) reader.close('stopped');
  }

  #closed(reader: InboxReader): void {
    const readers = this.#readers.get(reader.recipientId);
    readers?.delete(reader);
    if (readers?.size === 0) this.#readers.delete(reader.recipientId);
    this.#open--;
    this.#emit({ name: 'inbox.stream-closed', open: this.#open, reason: reader.ended ?? 'closed' });
  }

  #heard(hinted: Hinted): void {
    const watched =
      hinted.kind === 'everybody' ? [...this.#readers.keys()] : hinted.ids.filter((id) => this.#readers.has(id));
    this.#compare(watched).catch((error: unknown) => this.#emit({ name: 'inbox.fault', error }));
  }

  #schedule(): void {
    if (this.#stopped) return;
    const wait = this.#settings.pollMs * (0.8 + 0.4 * Math.random());
    this.#timer = setTimeout(() => {
      this.#polling = this.#poll().finally(() => this.#schedule());
    }, wait).unref();
  }

  async #poll(): Promise<void> {
    const now = Date.now();
    for (const reader of this.#everyReader()) {
      if (reader.isStalled(now, this.#settings.stalledAfterMs)) reader.close('slow');
    }
    await this.#compare([...this.#readers.keys()]).catch((error: unknown) =>
      this.#emit({ name: 'inbox.fault', error }),
    );
  }

  async #compare(recipientIds: readonly string[]): Promise<void> {
    for (let from = 0; from < recipientIds.length && !this.#stopped; from += POLL_CHUNK) {
      const heads = await readHeads(this.#database, recipientIds.slice(from, from + POLL_CHUNK));
      for (const [recipientId, head] of heads) {
        for (const reader of this.#readers.get(recipientId) ?? []) reader.pushHead(head);
      }
    }
  }

  #everyReader(): InboxReader[] {
    return [...this.#readers.values()].flatMap((readers) => [...readers]);
  }
}

function* recipientsOf(appended: readonly Appended[]): Generator<string> {
  for (const { given, position } of appended) if (position !== undefined) yield given.notice.recipientId;
}
