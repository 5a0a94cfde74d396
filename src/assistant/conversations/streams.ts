// The open streams of this node: sockets that hear what is said in their conversation. Whoever commits something wakes the
// conversations here; the streams then read on from where they stand, all that were woken together in one statement.
// Other nodes get a hint; a slow poll makes good what both have missed. So nothing is pushed that was not committed, and
// a stream can neither skip nor repeat: its place is the number that it has sent.
import type { Database } from '../../kit/database.ts';
import { type Hinted, Hints } from '../../kit/hints.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Emit } from '../../kit/signals.ts';
import { readAfter, readHeads, type Said } from './read.ts';

export type StreamSignal =
  | { readonly name: 'assistant.stream-opened'; readonly open: number }
  | { readonly name: 'assistant.stream-closed'; readonly open: number }
  | { readonly name: 'assistant.stream-fault'; readonly error: unknown };

export type StreamSettings = {
  /** Open streams of one node; more are refused as `busy`. */
  readonly maxStreams: number;
  /** How often open streams are compared with the database. */
  readonly pollMs: number;
};

const streamDefaults: StreamSettings = { maxStreams: 20_000, pollMs: 5_000 };

/** Where a stream's activities go. Must not throw. */
export type Sink = {
  /** `said`: activities as JSON text, in order; `sequence` of the last one is the new place. */
  readonly send: (said: readonly string[], sequence: number) => void;
  /** What is not kept, such as that the agent is typing. */
  readonly pass: (said: string, sequence: number) => void;
  /** False while the client takes nothing: it is asked again later. */
  readonly hasRoom: () => boolean;
  /** There will be nothing more here: the server stops, or the conversation was deleted. */
  readonly end: (why: 'stops' | 'gone') => void;
};

/** Close it when the client is gone. */
export type Stream = { readonly conversationId: string; readonly after: number; readonly close: () => void };

type Open = { readonly conversationId: string; after: number; started: boolean; readonly sink: Sink };

const CONVERSATIONS_PER_READ = 500;
const ACTIVITIES_PER_READ = 100;
const POLL_CHUNK = 1_000;
const TYPING = 'typing:';

export class ConversationStreams {
  readonly #database: Database;
  readonly #emit: Emit<StreamSignal>;
  readonly #settings: StreamSettings;
  readonly #hints: Hints;
  readonly #open = new Map<string, Set<Open>>();
  readonly #woken = new Set<string>();
  readonly #closeListeners = new Set<(conversationId: string) => void>();
  #reading: Promise<void> | undefined;
  #size = 0;
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> | undefined;
  #stopped = false;

  private constructor(database: Database, emit: Emit<StreamSignal>, settings: Partial<StreamSettings>) {
    this.#database = database;
    this.#emit = emit;
    this.#settings = { ...streamDefaults, ...settings };
    this.#hints = new Hints(database, {
      channel: 'carillon_conversation',
      onHint: (hinted) => this.#heard(hinted),
      onFault: (error) => emit({ name: 'assistant.stream-fault', error }),
    });
  }

  static async start(deps: {
    readonly database: Database;
    readonly emit: Emit<StreamSignal>;
    readonly settings?: Partial<StreamSettings>;
  }): Promise<ConversationStreams> {
    const streams = new ConversationStreams(deps.database, deps.emit, deps.settings ?? {});
    await streams.#hints.start();
    streams.#schedule();
    return streams;
  }

  /** Ends all open streams. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const open of this.#everyOpen()) open.sink.end('stops');
    await this.#reading;
    await this.#polling;
    await this.#hints.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Streams that are open on this node. */
  get size(): number {
    return this.#size;
  }

  /** Opens a stream: first what came after `after`, then what comes. Throws `busy` or `stopping`. */
  open(conversationId: string, after: number, sink: Sink): Stream {
    if (this.#stopped) throw new Refusal('stopping', 'The server is stopping.');
    if (this.#size >= this.#settings.maxStreams) throw new Refusal('busy', 'Too many streams are open on this node.');
    const open: Open = { conversationId, after, started: false, sink };
    const others = this.#open.get(conversationId) ?? new Set();
    this.#open.set(conversationId, others.add(open));
    this.#size++;
    this.#emit({ name: 'assistant.stream-opened', open: this.#size });
    this.#wakeHere([conversationId]);
    return {
      conversationId,
      get after() {
        return open.after;
      },
      close: () => this.#close(open),
    };
  }

  /** Told when the last stream of a conversation on this node has closed; must not throw. Returns what ends it. */
  onClosed(listener: (conversationId: string) => void): () => void {
    this.#closeListeners.add(listener);
    return () => this.#closeListeners.delete(listener);
  }

  /** Call after the commit that said or changed something in these conversations. */
  wake(conversationIds: Iterable<string>): void {
    const ids = new Set(conversationIds);
    this.#wakeHere(ids);
    this.#hints.tell(ids);
  }

  /** Shows that somebody is typing: to the streams that are open now, wherever they are, and to nobody later. */
  typing(conversationId: string, agent: string): void {
    this.#passTyping(conversationId, agent);
    this.#hints.tell([`${TYPING}${conversationId}:${encodeURIComponent(agent)}`]);
  }

  #passTyping(conversationId: string, agent: string): void {
    const activity = { type: 'typing', timestamp: new Date().toISOString(), channelId: 'directline' };
    const of = { from: { id: agent, role: 'bot' }, conversation: { id: conversationId } };
    const said = JSON.stringify({ ...activity, ...of });
    for (const open of this.#open.get(conversationId) ?? []) open.sink.pass(said, open.after);
  }

  #close(open: Open): void {
    const others = this.#open.get(open.conversationId);
    if (!others?.delete(open)) return;
    this.#size--;
    if (others.size === 0) {
      this.#open.delete(open.conversationId);
      if (!this.#stopped) for (const listener of this.#closeListeners) listener(open.conversationId);
    }
    this.#emit({ name: 'assistant.stream-closed', open: this.#size });
  }

  #heard(hinted: Hinted): void {
    if (hinted.kind === 'everybody') this.#wakeHere(this.#open.keys());
    for (const id of hinted.kind === 'some' ? hinted.ids : []) {
      if (!id.startsWith(TYPING)) this.#wakeHere([id]);
      else {
        const [conversationId, agent] = id.slice(TYPING.length).split(':');
        this.#passTyping(conversationId!, decodeURIComponent(agent!));
      }
    }
  }

  #wakeHere(conversationIds: Iterable<string>): void {
    for (const id of conversationIds) if (this.#open.has(id)) this.#woken.add(id);
    if (this.#woken.size === 0 || this.#stopped) return;
    this.#reading ??= this.#readWoken().finally(() => {
      this.#reading = undefined;
    });
  }

  /** Reads until nobody is woken any more. A failure is made good by the poll. */
  async #readWoken(): Promise<void> {
    // What is woken in the same tick is read together.
    await undefined;
    while (this.#woken.size > 0 && !this.#stopped) {
      const ids = [...this.#woken].slice(0, CONVERSATIONS_PER_READ);
      for (const id of ids) this.#woken.delete(id);
      await this.#readOn(ids).catch((error: unknown) => this.#emit({ name: 'assistant.stream-fault', error }));
    }
  }

  async #readOn(ids: readonly string[]): Promise<void> {
    const places = ids.flatMap((conversationId) => {
      const takers = [...(this.#open.get(conversationId) ?? [])].filter(({ sink }) => sink.hasRoom());
      if (takers.length === 0) return [];
      return [{ conversationId, after: Math.min(...takers.map(({ after }) => after)) }];
    });
    if (places.length === 0) return;
    const said = Map.groupBy(
      await readAfter(this.#database, places, ACTIVITIES_PER_READ),
      ({ conversationId }) => conversationId,
    );
    for (const { conversationId } of places) this.#deliver(conversationId, said.get(conversationId) ?? []);
  }

  #deliver(conversationId: string, said: readonly Said[]): void {
    if (said.length === ACTIVITIES_PER_READ) this.#woken.add(conversationId);
    for (const open of this.#open.get(conversationId) ?? []) {
      const fresh = said.filter(({ sequence }) => sequence > open.after);
      // The first time tells even that there is nothing, so that the client knows that it is connected.
      if (!open.sink.hasRoom() || (fresh.length === 0 && open.started)) continue;
      open.started = true;
      open.after = fresh.at(-1)?.sequence ?? open.after;
      open.sink.send(
        fresh.map(({ content }) => content),
        open.after,
      );
    }
  }

  #schedule(): void {
    if (this.#stopped) return;
    const wait = this.#settings.pollMs * (0.8 + 0.4 * Math.random());
    this.#timer = setTimeout(() => {
      this.#polling = this.#poll()
        .catch((error: unknown) => this.#emit({ name: 'assistant.stream-fault', error }))
        .finally(() => this.#schedule());
    }, wait).unref();
  }

  async #poll(): Promise<void> {
    const ids = [...this.#open.keys()];
    for (let from = 0; from < ids.length && !this.#stopped; from += POLL_CHUNK) {
      const chunk = ids.slice(from, from + POLL_CHUNK);
      const heads = await readHeads(this.#database, chunk);
      // A conversation that is gone has nothing more to say; the client hears so when it comes back.
      for (const id of chunk) if (!heads.has(id)) for (const { sink } of this.#open.get(id) ?? []) sink.end('gone');
      const behind = [...heads].filter(([id, head]) => this.#isBehind(id, head)).map(([id]) => id);
      this.#wakeHere(behind);
    }
  }

  #isBehind(conversationId: string, head: number): boolean {
    return [...(this.#open.get(conversationId) ?? [])].some(({ after, started }) => after < head || !started);
  }

  #everyOpen(): Open[] {
    return [...this.#open.values()].flatMap((opens) => [...opens]);
  }
}
