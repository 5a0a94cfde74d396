// The agents that this server knows, by name. A name without an agent is fine: what people say there is kept, and only
// the assistant's own rooms (answers on cards) hear it.
import type { Agent } from './remote.ts';

export class Agents {
  readonly #byName = new Map<string, Agent>();

  /** The later one of the same name counts; the config's come last. */
  use(agent: Agent): void {
    this.#byName.set(agent.name, agent);
  }

  find(name: string): Agent | undefined {
    return this.#byName.get(name);
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  get names(): readonly string[] {
    return [...this.#byName.keys()];
  }
}
