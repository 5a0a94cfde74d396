// A turn: a person said or did something. The rooms of the assistant listen: references are captured, answers on cards
// are taken. Whoever answers the turn keeps it from the agent.
import type { Activity } from './activity.ts';
import type { Conversation } from './conversation.ts';

export type Turn = {
  readonly conversation: Conversation;
  /** As it is stored: `from` is the verified recipient. */
  readonly activity: Activity;
};

/** `taken`: the agent need not hear of it. */
export type TurnListener = (turn: Turn) => Promise<'taken' | undefined>;

/** The person has opened the conversation: they see from now on what is said there. */
export type OpenedListener = (conversation: Conversation) => Promise<void>;

export class Turns {
  readonly #listeners = new Set<TurnListener>();
  readonly #openedListeners = new Set<OpenedListener>();

  /** Called after the activity is durable, in the order of registration. Returns what ends the listening. */
  onUserActivity(listener: TurnListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Called after the agent has greeted. Returns what ends the listening. */
  onOpened(listener: OpenedListener): () => void {
    this.#openedListeners.add(listener);
    return () => this.#openedListeners.delete(listener);
  }

  async opened(conversation: Conversation): Promise<void> {
    for (const listener of this.#openedListeners) await listener(conversation);
  }

  /** Tells all of them, whatever one of them says. Throws the first error when all have been told. */
  async tell(turn: Turn): Promise<boolean> {
    let taken = false;
    const errors: unknown[] = [];
    for (const listener of this.#listeners) {
      try {
        if ((await listener(turn)) === 'taken') taken = true;
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
    return taken;
  }
}
