// Who reads a partition alone: a reader that names an epoch (clients call it owner level) ends the others of its consumer
// group, and is ended by one of the same or a higher epoch. Kept in memory: it holds among the clients of one node.
import { Refusal } from '../../../kit/refusal.ts';

type Reader = { readonly epoch: number | undefined; readonly end: (reason: Refusal) => void };

export class Epochs {
  readonly #readers = new Map<string, Set<Reader>>();

  /** Refuses a reader that comes too late; `end` is called when a later one takes its place. Returns what ends it. */
  enter(place: string, epoch: number | undefined, end: (reason: Refusal) => void): () => void {
    const readers = this.#readers.get(place) ?? new Set();
    const highest = Math.max(...[...readers].map((reader) => reader.epoch ?? -1));
    if ((epoch ?? -1) < highest) throw stolen(`Receiver with a higher epoch '${highest}' already exists.`);
    const replaced = epoch === undefined ? [] : [...readers];
    const reader = { epoch, end };
    this.#readers.set(place, readers.add(reader));
    for (const each of replaced) {
      readers.delete(each);
      each.end(stolen(`New receiver with the epoch '${epoch}' was created, so the current one is disconnected.`));
    }
    return () => {
      readers.delete(reader);
      if (readers.size === 0 && this.#readers.get(place) === readers) this.#readers.delete(place);
    };
  }
}

function stolen(words: string): Refusal {
  return new Refusal('conflict', words, { condition: 'amqp:link:stolen' });
}
