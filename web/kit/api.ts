// The server's HTTP API as the pages use it. Same origin, session cookie; errors are problem+json.

/** What the server refused, in its own words. `code` is stable; `status` 0 means that it was not reached at all. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    status: number,
    code: string,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    cause?: unknown,
  ) {
    super(message, { cause });
    this.status = status;
    this.code = code;
    this.details = details;
  }
}

export const get = <T>(path: string, signal?: AbortSignal) => call<T>('GET', path, undefined, signal);
export const post = <T>(path: string, body: unknown = {}, type?: string) =>
  call<T>('POST', path, body, undefined, type);
export const put = <T>(path: string, body: unknown) => call<T>('PUT', path, body);
export const remove = (path: string) => call<void>('DELETE', path);

async function call<T>(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
  type = 'application/json',
): Promise<T> {
  const response = await fetch(path, {
    method,
    headers: { accept: 'application/json', ...(body !== undefined && { 'content-type': type }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(signal && { signal }),
  }).catch((cause: unknown) => {
    if (signal?.aborted) throw cause;
    throw new Problem(0, 'unreachable', 'The server cannot be reached. Is this device online?', {}, cause);
  });
  const answer: unknown = await response.json().catch(() => undefined);
  if (!response.ok) throw problemOf(response, answer);
  return answer as T; // the server validates its answers against the schemas that these types repeat
}

function problemOf(response: Response, answer: unknown): Problem {
  const given = (typeof answer === 'object' && answer !== null ? answer : {}) as Record<string, unknown>;
  const words = [given.detail, given.title].find((text) => typeof text === 'string' && text !== '');
  return new Problem(
    response.status,
    String(given.code ?? response.status),
    String(words ?? response.statusText),
    given,
  );
}

/** Any thrown thing as a sentence for a person. */
export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function query(values: Readonly<Record<string, string | number | undefined>>): string {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== '');
  return given.length === 0 ? '' : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

export type Page<T> = { readonly items: readonly T[]; readonly next?: string | null };
export type WhoAmI = {
  readonly role: 'admin' | 'recipient';
  readonly recipientId?: string;
  readonly displayName?: string;
};

export type Card = {
  readonly title: string;
  readonly body?: string;
  readonly facts?: readonly { readonly label: string; readonly value: string }[];
  readonly link?: { readonly label: string; readonly url: string };
  readonly actions?: readonly CardAction[];
  /** Drawn by its author; the rest says the same in words. */
  readonly adaptiveCard?: Readonly<Record<string, unknown>>;
};
export type CardAction = {
  readonly id: string;
  readonly label: string;
  readonly style?: 'primary' | 'danger';
  readonly askReason?: boolean;
  /** What the card says once somebody gave this answer. */
  readonly done?: string;
};
/** Where the question of a card stands. */
export type Decision = {
  readonly state: 'open' | 'decided' | 'expired' | 'withdrawn';
  readonly expiresAt?: string;
  /** It is open, but not for this person: they asked for it themselves. */
  readonly ownRequest?: true;
  readonly at?: string;
  readonly by?: { readonly id: string; readonly name?: string };
  readonly actionId?: string;
  readonly label?: string;
  readonly reason?: string;
};

export type InboxItem = {
  readonly id: string;
  /** Its place in this person's inbox: grows without gaps. */
  readonly position: number;
  readonly title: string;
  readonly body: string;
  readonly card: Card;
  readonly category: string;
  readonly notification: string;
  readonly topic: string;
  readonly urgency: 'low' | 'normal' | 'high';
  readonly createdAt: string;
  readonly seenAt: string | null;
  readonly readAt: string | null;
  readonly archivedAt: string | null;
  /** It was taken back; its words are gone. */
  readonly recalledAt: string | null;
  readonly decision?: Decision;
};
export type Counts = { readonly unseen: number; readonly unread: number };
export type InboxPage = Page<InboxItem> & Counts & { readonly position: number };
export type Mark = 'seen' | 'read' | 'unread' | 'archived' | 'unarchived';

export type ChannelName = 'inbox' | 'mobile' | 'conversation' | 'email';
export const channelNames: readonly ChannelName[] = ['inbox', 'mobile', 'conversation', 'email'];

export type CategorySetting = { readonly [channel in ChannelName]?: boolean } & {
  readonly when?: string;
  /** Until then only the inbox gets it. */
  readonly mutedUntil?: string;
};
/** `HH:MM`; without a zone that of the person's record. */
export type QuietHours = { readonly from: string; readonly to: string; readonly timeZone?: string };
export type Preferences = {
  readonly quietHours?: QuietHours;
  readonly preferredConversation?: 'directline' | 'teams' | 'slack';
  readonly SendNotificationToMobileDevice: boolean;
  readonly SendNotificationToConversation: boolean;
  readonly categories: Readonly<Record<string, CategorySetting>>;
};
/** What preferences are grouped by. */
export type Category = {
  readonly name: string;
  readonly title?: string;
  readonly description?: string;
  readonly channels: readonly ChannelName[];
  /** Channels on which nothing of this category can be switched off. */
  readonly mandatoryChannels?: readonly ChannelName[];
  /** The organisation decides; people cannot. */
  readonly locked?: boolean;
  readonly defaults?: CategorySetting;
  /** Fields of its events that a condition can ask about. */
  readonly fields?: readonly { readonly name: string; readonly label: string; readonly kind: 'number' | 'text' }[];
};
