// The held messages of one subscription and partition that are in one state, as a source for a dispenser: the first of
// them in memory, the rest in the database until they are needed. Dead letters may be millions.
import { Dispenser } from './dispenser.ts';
import type { Entry, Home } from './entry.ts';

const PAGE = 500;
const MOST_IN_MEMORY = 2_000;

type Load = (from: number, limit: number) => Promise<Entry[]>;
/** Where the entries of a shelf come back into circulation that has no dispenser of its own. */
type Circulation = {
  readonly desk: Dispenser;
  readonly offer: (entry: Entry) => void;
  /** There is something new to be asked for. */
  readonly wake: () => void;
};

export class Shelf {
  /** Set for what consumers receive by itself (dead letters); retries come out of their cursor's dispenser. */
  readonly desk: Dispenser;
  /** How many rows there are. */
  count: number;
  readonly home: Home;
  readonly #load: Load;
  readonly #wake: () => void;
  readonly #circulate: (entry: Entry) => void;
  readonly #known = new Map<number, Entry>();
  /** Rows below this are in memory (or gone). */
  #loadedTo = 0;
  #complete: boolean;
  #loading: Entry[] | undefined;
  #waiting: Entry[] = [];

  constructor(home: Home, count: number, load: Load, unlocked: (entries: Entry[]) => void, into?: Circulation) {
    this.home = home;
    this.count = count;
    this.#complete = count === 0;
    this.#load = load;
    this.desk = into?.desk ?? new Dispenser({ next: () => this.next(), expired: () => {}, unlocked });
    this.#wake = into?.wake ?? (() => this.desk.pump());
    this.#circulate = into?.offer ?? ((entry) => this.desk.offer(entry));
  }

  next(): Entry | undefined | 'later' {
    const entry = this.#waiting.shift();
    if (entry) return entry;
    if (this.#complete) return undefined;
    if (!this.#loading) void this.#loadPage();
    return 'later';
  }

  async #loadPage(): Promise<void> {
    this.#loading = [];
    try {
      const entries = await this.#load(this.#loadedTo, PAGE);
      for (const entry of entries) this.#keep(entry);
      this.#complete = entries.length < PAGE;
      this.#loadedTo = Math.max(this.#loadedTo, (entries.at(-1)?.sequence ?? -1) + 1);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    // What was put while the page was read may or may not be in it.
    const meanwhile = this.#loading;
    this.#loading = undefined;
    for (const entry of meanwhile) this.#place(entry);
    this.#wake();
  }

  #keep(entry: Entry): void {
    if (this.#known.has(entry.sequence)) return;
    this.#known.set(entry.sequence, entry);
    this.#waiting.push(entry);
  }

  /** A row was written. */
  put(entry: Entry): void {
    this.count++;
    this.#place(entry);
    if (this.desk.waiting > 0) this.#wake();
  }

  #place(entry: Entry): void {
    if (this.#loading) this.#loading.push(entry);
    else if (entry.sequence < this.#loadedTo) this.#offer(entry);
    else if (this.#complete && this.#known.size < MOST_IN_MEMORY) {
      this.#loadedTo = entry.sequence + 1;
      this.#offer(entry);
    } else this.#complete = false;
  }

  #offer(entry: Entry): void {
    if (this.#known.has(entry.sequence)) return;
    this.#known.set(entry.sequence, entry);
    // The dispenser asks for those that wait here when it has none: what comes after the first of them waits with them.
    const behind = this.#waiting.findIndex(({ sequence }) => sequence > entry.sequence);
    if (this.#waiting.length === 0 || behind === 0) this.#circulate(entry);
    else this.#waiting.splice(behind < 0 ? this.#waiting.length : behind, 0, entry);
  }

  find(sequence: number): Entry | undefined {
    return this.#known.get(sequence);
  }

  /** Keeps an entry that is in memory already, and whose row was just written. */
  adopt(entry: Entry): void {
    this.count++;
    this.#known.set(entry.sequence, entry);
  }

  /** The row is gone. */
  forget(sequence: number): void {
    this.count--;
    this.#known.delete(sequence);
  }

  /** All rows are gone but those of these entries. */
  clear(kept: readonly Entry[]): void {
    this.#known.clear();
    this.#waiting = [];
    for (const entry of kept) this.#known.set(entry.sequence, entry);
    this.count = kept.length;
    this.#complete = true;
  }

  get all(): IterableIterator<Entry> {
    return this.#known.values();
  }
}
