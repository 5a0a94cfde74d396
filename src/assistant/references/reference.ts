// A conversation reference: a place where the assistant can speak to a person. A person may have several (the web chat,
// Teams, Slack); each has a state of its own.
//   ok --the person blocked us--> blocked        ok --the conversation is no more--> gone
//   any --the person speaks there or installs the app--> ok

/** `webhook` is a place without a person: a channel of Teams that a workflow posts to. */
export const surfaces = ['directline', 'teams', 'slack', 'webhook'] as const;
export type Surface = (typeof surfaces)[number];

/** What each surface needs to post: JSON, written and read by its adapter alone. */
export type Address = Readonly<Record<string, unknown>>;

/** What makes a place the same place: the conversation, within the connection (the agent, the bot, the workspace). */
export type Place = {
  readonly recipientId: string;
  readonly channel: Surface;
  readonly connection: string;
  readonly place: string;
};

export type ReferenceState = 'ok' | 'blocked' | 'gone';

export type Reference = Place & {
  readonly person: string | undefined;
  readonly address: Address;
  readonly state: ReferenceState;
  /** When the person last spoke there; undefined: never, the place was opened by us. */
  readonly lastSeenAt: Date | undefined;
  readonly lastError: string | undefined;
  readonly throttledUntil: Date | undefined;
};

/** A place where the person was not seen yet, as far as we know. */
export function unseenPlace(place: Place, address: Address = {}, person?: string): Reference {
  const unknown = { lastSeenAt: undefined, lastError: undefined, throttledUntil: undefined };
  return { ...place, person, address, state: 'ok', ...unknown };
}

export type Capture = Place & {
  readonly address: Address;
  /** Who they are to the service; as its token says, never as a message claims. */
  readonly person?: string | undefined;
  /** Left out where the place is opened by us and the person has not spoken. */
  readonly seenAt?: Date | undefined;
};
