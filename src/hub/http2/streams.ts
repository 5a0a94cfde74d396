// The streams of a connection, in columns: of a call that runs as most do, nothing is made but these few numbers. A stream has a place
// by the low bits of its id; an id whose place is still taken by an older stream is left out, for ids need not follow each other.

import type { AnswerReader } from './answer.ts';
import type { Calls } from './port.ts';

export class Streams {
  size = 0;
  /** The call of the stream at a place. */
  readonly calls: (Calls | undefined)[];
  readonly indexes: Int32Array;
  /** On the connection's coarse clock. */
  readonly deadlines: Int32Array;
  /** How much the peer lets us send; may be negative after its SETTINGS shrank. */
  readonly windows: Int32Array;
  /** 1: an answer 200 has begun of which nobody wants the rest. */
  readonly plain: Uint8Array;
  /** Every other answer, as far as it is here. */
  readonly answers: (AnswerReader | undefined)[];
  /** 0: free. */
  readonly #ids: Int32Array;
  readonly #mask: number;

  /** `most` of them at once. */
  constructor(most: number) {
    // Twice as many places, so that a stream that stays for long costs an id now and then.
    const places = 2 ** Math.ceil(Math.log2(most * 2));
    this.#mask = places - 1;
    this.#ids = new Int32Array(places);
    this.calls = new Array<undefined>(places).fill(undefined);
    this.indexes = new Int32Array(places);
    this.deadlines = new Int32Array(places);
    this.windows = new Int32Array(places);
    this.plain = new Uint8Array(places);
    this.answers = new Array<undefined>(places).fill(undefined);
  }

  /** The first id from `id` on that finds a place. */
  nextId(id: number): number {
    let next = id;
    while (this.#ids[this.#placeOf(next)] !== 0) next += 2;
    return next;
  }

  /** The place that the stream has from now on. */
  add(id: number, calls: Calls, index: number): number {
    const place = this.#placeOf(id);
    this.#ids[place] = id;
    this.calls[place] = calls;
    this.indexes[place] = index;
    this.plain[place] = 0;
    this.size += 1;
    return place;
  }

  /** Where the stream is; -1: it is over. */
  find(id: number): number {
    const place = this.#placeOf(id);
    return this.#ids[place] === id ? place : -1;
  }

  idOf(place: number): number {
    return this.#ids[place]!;
  }

  remove(place: number): void {
    this.#ids[place] = 0;
    this.calls[place] = undefined;
    this.answers[place] = undefined;
    this.size -= 1;
  }

  /** Each may be removed while one goes through them. */
  *places(): Generator<number> {
    for (let place = 0; place <= this.#mask; place += 1) if (this.#ids[place] !== 0) yield place;
  }

  #placeOf(id: number): number {
    return (id >>> 1) & this.#mask;
  }
}
