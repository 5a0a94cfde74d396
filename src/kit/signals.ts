// Rooms emit typed signals about what they did; logs, metrics, the dashboard's live view and the tests listen.
// A room declares its signals as a tagged union (`{ name: 'delivery.attempted', ... }`) and takes an `Emit` of it.

export type Signal = { readonly name: string };
export type Emit<S extends Signal> = (signal: S) => void;
export type Listener = (signal: Signal) => void;

/** Hands each signal to every listener, in order, at once. A listener that throws is a bug of ours: it propagates. */
export class Signals {
  readonly #listeners = new Set<Listener>();

  readonly emit: Emit<Signal> = (signal) => {
    for (const listener of this.#listeners) listener(signal);
  };

  /** Returns the function that stops the listening. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
