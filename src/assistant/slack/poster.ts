// Notices into people's direct messages in Slack. The place is the conversation; the message is edited by its `ts`.
// Somebody who never spoke there is reached by their id in the workspace (`addresses.slack`), else by their mail address.
import type { Profile } from '../../people/recipient.ts';
import { toBlockKit } from '../cards/block-kit.ts';
import { inOrder } from '../pace.ts';
import type { Content, Edit, Post, Poster, Result } from '../poster.ts';
import { type Reference, unseenPlace } from '../references/reference.ts';
import type { Told } from '../teams/connector.ts';
import type { SlackLine, SlackMessage } from './line.ts';

export class SlackPoster implements Poster {
  readonly surface = 'slack';
  readonly #lines: ReadonlyMap<string, SlackLine>;

  /** By the names of the connections. */
  constructor(lines: ReadonlyMap<string, SlackLine>) {
    this.#lines = lines;
  }

  likely(person: Profile): readonly Reference[] {
    const userId = person.addresses.slack;
    const known = userId !== undefined ? { userId } : person.email !== undefined ? { email: person.email } : undefined;
    if (!known) return [];
    const where = { recipientId: person.id, channel: 'slack', place: `user:${userId ?? person.email}` } as const;
    return [...this.#lines.keys()].map((connection) => unseenPlace({ ...where, connection }, known, userId));
  }

  post(posts: readonly Post[]): Promise<readonly Result[]> {
    return inOrder(posts, keyOf, async (post) => {
      const { connection, place } = post.reference;
      const line = this.#lines.get(connection);
      if (!line) return { kind: 'gone', cause: 'connection_removed' };
      const paced = await line.pace.admit(connection, place);
      return paced ?? line.pace.after(connection, place, await postOne(line, post));
    });
  }

  edit(edits: readonly Edit[]): Promise<readonly Result[]> {
    return inOrder(edits, keyOf, async ({ reference, content, activityId: ts, postedAt }) => {
      const { connection, place } = reference;
      const { channelId } = reference.address;
      const line = this.#lines.get(connection);
      if (!line || typeof channelId !== 'string') return { kind: 'gone', cause: 'connection_removed' };
      const paced = await line.pace.admit(connection, place);
      if (paced) return paced;
      const told = await line.update({ channelId, ts }, messageOf(content));
      const result: Result = told.kind === 'done' ? { kind: 'posted', activityId: ts, at: postedAt } : told;
      return line.pace.after(connection, place, result);
    });
  }
}

async function postOne(line: SlackLine, { reference, content }: Post): Promise<Result> {
  const { channelId } = reference.address;
  const target = typeof channelId === 'string' ? done(channelId) : await userOf(line, reference);
  if (target.kind !== 'done') return target;
  const told = await line.post(target.value, messageOf(content));
  if (told.kind !== 'done') return told;
  const { channelId: place, ts } = told.value;
  if (place === channelId) return { kind: 'posted', activityId: ts, at: new Date() };
  const { recipientId, channel, connection } = reference;
  const address = { channelId: place, userId: target.value };
  const opened = { recipientId, channel, connection, place, person: target.value, address };
  return { kind: 'posted', activityId: ts, at: new Date(), opened };
}

async function userOf(line: SlackLine, { address }: Reference): Promise<Told<string>> {
  const { userId, email } = address;
  return typeof userId === 'string' ? done(userId) : line.userIdOf(String(email));
}

function done<T>(value: T): Told<T> {
  return { kind: 'done', value };
}

function keyOf({ reference }: { readonly reference: Reference }): string {
  return `${reference.connection} ${reference.place}`;
}

export function messageOf({ notice, decision, reader }: Content): SlackMessage {
  return toBlockKit(notice.card, { noticeId: notice.id, decision, reader });
}
