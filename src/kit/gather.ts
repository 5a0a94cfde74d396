// Many small questions answered by one. Whoever asks while an answer is under way, or in the same turn of the event loop,
// shares the next; so a question alone waits for nobody, and a thousand cost little more than one.

export class Gatherer<K, V> {
  readonly #load: (keys: readonly K[]) => Promise<ReadonlyMap<K, V>>;
  #next: { readonly keys: Set<K>; readonly answer: Promise<ReadonlyMap<K, V>> } | undefined;
  #before: Promise<unknown> = Promise.resolve();

  /** `load` is never called twice at once. */
  constructor(load: (keys: readonly K[]) => Promise<ReadonlyMap<K, V>>) {
    this.#load = load;
  }

  /** The value as it is at some moment after the call; undefined where there is none. Throws what `load` throws. */
  async find(key: K): Promise<V | undefined> {
    this.#next ??= this.#gather();
    this.#next.keys.add(key);
    return (await this.#next.answer).get(key);
  }

  #gather() {
    const keys = new Set<K>();
    const answer = this.#before.then(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      this.#next = undefined;
      return this.#load([...keys]);
    });
    this.#before = answer.catch(() => {});
    return { keys, answer };
  }
}
