// Who reads a partition alone: a reader that names an epoch (clients call it owner level) ends the others of its consumer
// group, and is ended by one of the same or a higher epoch. Among the clients of this node that is decided in memory, at
// once; between nodes by the claims in the database, which are looked at twice a second while anybody reads here.
import { Refusal } from '../../../kit/refusal.ts';
import { isOutage } from '../../../topics/log/connection.ts';
import type { Claims, ReaderPlace } from './claims.ts';

type End = (reason: Refusal) => void;
type Reader = { readonly epoch: number | undefined; readonly end: End };
type Readers = { readonly place: ReaderPlace; readonly all: Set<Reader> };

export type EpochDeps = {
  readonly claims: Pick<Claims, 'put' | 'drop' | 'elsewhere'>;
  /** Whether this node is the only one, as far as it knows. */
  readonly alone: () => boolean;
  readonly failed: (error: unknown) => void;
};

const LOOK_MS = 500;

export class Epochs {
  readonly #deps: EpochDeps;
  readonly #places = new Map<string, Readers>();
  /** The last write of each place, so that the row is what memory was last. */
  readonly #writing = new Map<string, Promise<unknown>>();
  /** Where somebody came or went since the look began that is under way: what it reads may be older than that. */
  #touched = new Set<string>();
  /** Places that were left while the database was away: their rows would keep out everybody at other nodes. */
  readonly #left = new Map<string, ReaderPlace>();
  readonly #timer: NodeJS.Timeout;
  #looking = false;

  constructor(deps: EpochDeps) {
    this.#deps = deps;
    this.#timer = setInterval(() => void this.#lookSafely(), LOOK_MS).unref();
  }

  /** Refuses a reader that comes too late; `end` is called when a later one takes its place. Returns what ends it. */
  async enter(place: ReaderPlace, epoch: number | undefined, end: End): Promise<() => void> {
    let ended: Refusal | undefined;
    let tell: End = (reason) => {
      ended = reason;
    };
    const leave = this.#enterHere(place, { epoch, end: (reason) => tell(reason) });
    try {
      const higher = await this.#claim(place, epoch);
      if (higher !== undefined) throw tooLate(higher);
      if (ended) throw ended;
    } catch (error) {
      leave();
      throw error;
    }
    tell = end;
    return leave;
  }

  #enterHere(place: ReaderPlace, reader: Reader): () => void {
    const key = keyOf(place);
    const readers = this.#places.get(key) ?? { place, all: new Set() };
    const { epoch } = reader;
    const highest = highestOf(readers);
    if (highest !== undefined && (epoch ?? -1) < highest) throw tooLate(highest);
    const replaced = epoch === undefined ? [] : [...readers.all];
    this.#places.set(key, readers);
    readers.all.add(reader);
    for (const each of replaced) end(readers, each, replacedBy(epoch!)); // without an epoch nobody is replaced
    return () => {
      readers.all.delete(reader);
      if (readers.all.size === 0 && this.#places.get(key) === readers) this.#places.delete(key);
      if (epoch !== undefined) void this.#giveUp(place);
    };
  }

  /** The level of another node's reader that this one is too late for. */
  #claim(place: ReaderPlace, epoch: number | undefined): Promise<number | undefined> {
    const key = keyOf(place);
    return this.#inTurn(key, async () => {
      // A later reader may have come meanwhile: the row is to say what holds now.
      const highest = epoch === undefined ? undefined : highestOf(this.#places.get(key));
      if (highest !== undefined) return this.#deps.claims.put(place, highest);
      return (await this.#deps.claims.elsewhere([place]))[0]?.epoch;
    });
  }

  /** Tried again with every look where it fails. */
  async #giveUp(place: ReaderPlace): Promise<void> {
    const key = keyOf(place);
    try {
      await this.#inTurn(key, () => this.#dropIdle(place));
      this.#left.delete(key);
    } catch (error) {
      this.#left.set(key, place);
      if (!isOutage(error)) this.#deps.failed(error);
    }
  }

  async #dropIdle(place: ReaderPlace): Promise<void> {
    if (highestOf(this.#places.get(keyOf(place))) === undefined) await this.#deps.claims.drop(place);
  }

  #inTurn<T>(key: string, write: () => Promise<T>): Promise<T> {
    const writing = (this.#writing.get(key) ?? Promise.resolve()).then(write);
    this.#touched.add(key);
    const settled = writing
      .catch(() => {}) // told to whoever waits for it
      .finally(() => {
        if (this.#writing.get(key) === settled) this.#writing.delete(key);
      });
    this.#writing.set(key, settled);
    return writing;
  }

  async #lookSafely(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      for (const place of [...this.#left.values()]) await this.#giveUp(place);
      if (this.#places.size > 0 && !this.#deps.alone()) await this.look();
    } catch (error) {
      if (!isOutage(error)) this.#deps.failed(error);
    } finally {
      this.#looking = false;
    }
  }

  /** Ends the readers here whose place was taken by one at another node; takes it back where that one is of a lower level. */
  async look(): Promise<void> {
    const touched = new Set(this.#writing.keys());
    this.#touched = touched;
    const claims = await this.#deps.claims.elsewhere([...this.#places.values()].map(({ place }) => place));
    for (const claim of claims) {
      const readers = this.#places.get(keyOf(claim));
      if (!readers || touched.has(keyOf(claim))) continue; // who is coming here just now hears for itself
      const highest = highestOf(readers);
      // Others took this node for dead, and a lower level came in.
      if (highest !== undefined && highest > claim.epoch) await this.#claim(readers.place, highest);
      else for (const reader of readers.all) end(readers, reader, replacedBy(claim.epoch));
    }
  }

  /** Nobody is ended any more; resolves when what readers left behind is written. May be called twice. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#writing.values());
  }
}

function keyOf({ topic, part, group }: ReaderPlace): string {
  return `${topic}/${part}/${group}`;
}

function highestOf(readers: Readers | undefined): number | undefined {
  const levels = [...(readers?.all ?? [])].flatMap(({ epoch }) => (epoch === undefined ? [] : [epoch]));
  return levels.length === 0 ? undefined : Math.max(...levels);
}

function end(readers: Readers, reader: Reader, reason: Refusal): void {
  readers.all.delete(reader);
  reader.end(reason);
}

function tooLate(highest: number): Refusal {
  return stolen(`Receiver with a higher epoch '${highest}' already exists.`);
}

function replacedBy(epoch: number): Refusal {
  return stolen(`New receiver with the epoch '${epoch}' was created, so the current one is disconnected.`);
}

function stolen(words: string): Refusal {
  return new Refusal('conflict', words, { condition: 'amqp:link:stolen' });
}
