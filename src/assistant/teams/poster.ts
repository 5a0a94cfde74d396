// Notices into the chats of Teams, each as an Adaptive Card with its text twin. Somebody who never spoke to the bot is
// reached by their id in Entra (`addresses.teams`): the chat is opened, and where the app is not installed for them it
// is installed first, if the connection may.
import type { Profile } from '../../people/recipient.ts';
import { ADAPTIVE_CARD_TYPE, toAdaptiveCard } from '../cards/adaptive.ts';
import { toText } from '../cards/text.ts';
import { inOrder, Pace } from '../pace.ts';
import type { Content, Edit, Post, Poster, Result } from '../poster.ts';
import { type Capture, type Reference, unseenPlace } from '../references/reference.ts';
import { endpointsOf, isTrustedService, type TeamsConnection } from './connection.ts';
import { Connector, type Failure, type TeamsPlace, type Told } from './connector.ts';
import { Graph } from './graph.ts';
import { AccessTokens } from './token.ts';

/** Per bot and conversation, and per app and tenant. Source: Microsoft "Optimize your bot with rate limiting in Teams". */
const teamsLimits = {
  place: [
    { count: 7, withinMs: 1_000 },
    { count: 8, withinMs: 2_000 },
    { count: 60, withinMs: 30_000 },
    { count: 1_800, withinMs: 3_600_000 },
  ],
  // Calls of one tenant overlap, and arrive a little earlier or later than they left.
  connection: [{ count: 50, withinMs: 1_200 }],
} as const;

/** A connection at work. */
export type TeamsLine = {
  readonly connection: TeamsConnection;
  readonly connector: Connector;
  readonly graph: Graph;
  /** Of everything that goes over it, notices and answers. */
  readonly pace: Pace;
};

export function openTeamsLine(connection: TeamsConnection): TeamsLine {
  const tokens = new AccessTokens(connection);
  const [connector, graph] = [new Connector(connection, tokens), new Graph(connection, tokens)];
  return { connection, connector, graph, pace: new Pace(teamsLimits) };
}

export class TeamsPoster implements Poster {
  readonly surface = 'teams';
  readonly #lines: ReadonlyMap<string, TeamsLine>;

  /** By the names of the connections. */
  constructor(lines: ReadonlyMap<string, TeamsLine>) {
    this.#lines = lines;
  }

  likely(person: Profile): readonly Reference[] {
    const userId = person.addresses.teams;
    if (userId === undefined) return [];
    const where = { recipientId: person.id, channel: 'teams', place: `user:${userId}` } as const;
    return [...this.#lines.keys()].map((connection) => unseenPlace({ ...where, connection }, { userId }, userId));
  }

  post(posts: readonly Post[]): Promise<readonly Result[]> {
    const opened = new Map<string, Capture>();
    return inOrder(posts, keyOf, async (post) => {
      const { connection, place } = post.reference;
      const line = this.#lines.get(connection);
      if (!line) return { kind: 'gone', cause: 'connection_removed' };
      return line.pace.after(connection, place, await this.#postOne(line, post, opened));
    });
  }

  edit(edits: readonly Edit[]): Promise<readonly Result[]> {
    return inOrder(edits, keyOf, async (edit) => {
      const { connection, place } = edit.reference;
      const line = this.#lines.get(connection);
      const where = line && placeOf(line, edit.reference);
      if (!line || !where) return { kind: 'gone', cause: 'connection_removed' };
      const paced = await line.pace.admit(connection, place);
      if (paced) return paced;
      const told = await line.connector.update(where, edit.activityId, activityOf(edit.content));
      return line.pace.after(
        connection,
        place,
        posted(told, () => edit.activityId, edit.postedAt),
      );
    });
  }

  async #postOne(line: TeamsLine, post: Post, opened: Map<string, Capture>): Promise<Result> {
    const { reference, content } = post;
    const key = keyOf(post);
    const paced = await line.pace.admit(reference.connection, reference.place);
    if (paced) return paced;
    const place = await this.#placeFor(line, reference, opened.get(key));
    if (place.kind !== 'done') return place;
    const { where, capture } = place.value;
    if (capture) opened.set(key, capture);
    const told = await line.connector.post(where, activityOf(content));
    return posted(told, (id) => id, new Date(), capture);
  }

  /** The chat: the known one, or one that is opened now. */
  async #placeFor(
    line: TeamsLine,
    reference: Reference,
    opened: Capture | undefined,
  ): Promise<Told<{ where: TeamsPlace; capture?: Capture }>> {
    const known = placeOf(line, opened ?? reference);
    if (known) return { kind: 'done', value: { where: known, ...(opened && { capture: opened }) } };
    const userId = String(reference.address.userId ?? '');
    const serviceUrl = endpointsOf(line.connection).service;
    const told = await openChat(line, serviceUrl, userId);
    if (told.kind !== 'done') return told;
    const { recipientId, channel, connection } = reference;
    const place = told.value;
    const address = { serviceUrl, conversationId: place, userId };
    const capture = { recipientId, channel, connection, place, person: userId, address };
    return { kind: 'done', value: { where: { serviceUrl, conversationId: place }, capture } };
  }
}

/** Installs the app where that is what was missing. */
async function openChat(line: TeamsLine, serviceUrl: string, userId: string): Promise<Told<string>> {
  const told = await line.connector.createConversation(serviceUrl, userId);
  if (told.kind !== 'gone' || line.connection.installApp === undefined) return told;
  return line.graph.install(userId);
}

/** Undefined where the chat has yet to be opened, or lies with a service that is not ours to trust. */
function placeOf({ connection }: TeamsLine, { address }: Pick<Reference, 'address'>): TeamsPlace | undefined {
  const { serviceUrl, conversationId } = address;
  if (typeof serviceUrl !== 'string' || typeof conversationId !== 'string') return undefined;
  return isTrustedService(connection, serviceUrl) ? { serviceUrl, conversationId } : undefined;
}

function posted<T>(told: Told<T>, idOf: (value: T) => string | undefined, at: Date, opened?: Capture): Result {
  if (told.kind !== 'done') return told satisfies Failure;
  return { kind: 'posted', activityId: idOf(told.value), at, opened };
}

function keyOf({ reference }: { readonly reference: Reference }): string {
  return `${reference.connection} ${reference.place}`;
}

/** `summary` is what a toast and a screen reader say. */
export function activityOf({ notice, decision, reader }: Content): object {
  const { card, id: noticeId } = notice;
  return {
    type: 'message',
    summary: toText(card, { decision, reader }),
    ...(notice.urgency === 'high' && { importance: 'high' }),
    attachments: [
      {
        contentType: ADAPTIVE_CARD_TYPE,
        content: toAdaptiveCard(card, { surface: 'teams', noticeId, decision, reader }),
      },
    ],
  };
}
