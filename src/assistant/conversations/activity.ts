// An activity: one thing said or done in a conversation, as the Bot Framework's protocols write it. Only what we look at
// has a type here; everything else an author put in travels on untouched.
// Source: the Bot Framework activity schema (botframework-sdk/specs/botframework-activity).

export type Account = { readonly id: string; readonly name?: string; readonly role?: string };

export type Attachment = {
  readonly contentType: string;
  readonly content?: unknown;
  readonly contentUrl?: string;
  readonly name?: string;
  readonly thumbnailUrl?: string;
};

export type Activity = {
  readonly type: string;
  readonly id?: string;
  /** ISO 8601. */
  readonly timestamp?: string;
  readonly from?: Account;
  readonly recipient?: Account;
  readonly conversation?: { readonly id: string };
  readonly channelId?: string;
  readonly replyToId?: string;
  readonly locale?: string;
  readonly name?: string;
  readonly text?: string;
  readonly attachments?: readonly Attachment[];
  readonly value?: unknown;
  readonly channelData?: Readonly<Record<string, unknown>>;
  readonly deliveryMode?: string;
  readonly [field: string]: unknown;
};

/** Who wrote it: the person, their agent, or Carillon itself (a notice). */
export type Author = 'user' | 'agent' | 'carillon';

// Web Chat throws at types that it does not know, and protocol chatter is nothing for people.
const SHOWN = new Set(['message', 'event', 'endOfConversation']);

/** Whether it is kept and shown to people; everything else only passes through. */
export function isShown(type: string): boolean {
  return SHOWN.has(type);
}
