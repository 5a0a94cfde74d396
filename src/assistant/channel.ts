// The `conversation` channel of deliveries: one notice to one person, wherever the assistant can speak to them. The places
// are tried in their order (what the person prefers, then where they were seen last); a place that is blocked or gone is
// marked and the next one is tried. The last one is the standing conversation with the assistant, opened if need be:
// there a notice waits until the person comes.
import type { Channel, ClaimedDelivery, Outcome } from '../deliveries/channel.ts';
import type { LanePolicy } from '../deliveries/policy.ts';
import { findNotices, type Notice } from '../inbox/notice.ts';
import type { Database, Sql } from '../kit/database.ts';
import type { Emit } from '../kit/signals.ts';
import type { Profile } from '../people/recipient.ts';
import { findRecipients } from '../people/recipients.ts';
import type { Decision } from './cards/decision.ts';
import { conversationsOf } from './conversations/conversation.ts';
import { changedSince, type PostedCard, postedDeliveries, recordPosted, requestEdits } from './posted.ts';
import { type Content, likelyPlaces, type Poster, type Result } from './poster.ts';
import { type Reference, type Surface, unseenPlace } from './references/reference.ts';
import { captureReference, markReference, referencesOf, throttleReference } from './references/references.ts';

export type ConversationSignal =
  | { readonly name: 'conversation.posted'; readonly surface: Surface; readonly count: number; readonly tookMs: number }
  | {
      readonly name: 'conversation.place-lost';
      readonly surface: Surface;
      readonly state: 'blocked' | 'gone';
      readonly cause: string;
    }
  /** Its credentials are wrong or the service is away. */
  | {
      readonly name: 'conversation.stopped';
      readonly surface: Surface;
      readonly connection: string;
      readonly cause: string;
    }
  | { readonly name: 'conversation.edit-failed'; readonly error: unknown };

/** The decisions on cards that ask something, by notice id. */
export type FindDecisions = (sql: Sql, noticeIds: readonly string[]) => Promise<ReadonlyMap<string, Decision>>;

export type ConversationDeps = {
  readonly database: Database;
  readonly posters: readonly Poster[];
  readonly decisionsOf: FindDecisions;
  readonly emit: Emit<ConversationSignal>;
  /** Cards are due to be edited: `CardEditor.wake`. */
  readonly edit?: () => void;
  readonly now?: () => Date;
};

/** The lane's way of driving this channel. Calls of a service take their time, so more of them run beside each other. */
export const conversationPolicy: Partial<LanePolicy> = { batchSize: 100, concurrency: 8 };

/** An attempt that posted a card and died has read it at most this long before. */
const POSTING_TAKES_MS = 5 * 60_000;

/** A delivery on its way from place to place. */
type Trip = {
  readonly delivery: ClaimedDelivery;
  readonly content: Content;
  places: readonly Reference[];
  tried: number;
  /** The standing conversation has been added: there is no other place after it. */
  stranded: boolean;
};

export function conversationChannel(deps: ConversationDeps): Channel {
  const posters = new Map(deps.posters.map((poster) => [poster.surface, poster]));
  return { name: 'conversation', deliver: (batch) => deliver(deps, posters, batch) };
}

async function deliver(
  deps: ConversationDeps,
  posters: ReadonlyMap<Surface, Poster>,
  batch: readonly ClaimedDelivery[],
): Promise<Outcome[]> {
  const readAt = new Date();
  const outcomes = new Map<string, Outcome>();
  const repeated = batch.filter(({ attempt }) => attempt > 1).map(({ id }) => id);
  const [notices, posted] = await Promise.all([
    findNotices(deps.database, batch),
    postedDeliveries(deps.database, repeated),
  ]);
  const open: { delivery: ClaimedDelivery; notice: Notice }[] = [];
  for (const delivery of batch) {
    const notice = notices.get(delivery.noticeId);
    const before = posted.get(delivery.id);
    if (before) outcomes.set(delivery.id, { kind: 'delivered', providerId: before.activityId });
    else if (!notice || notice.recalledAt) outcomes.set(delivery.id, { kind: 'refused', cause: 'notice_removed' });
    else open.push({ delivery, notice });
  }
  await travel(deps, posters, await planTrips(deps, posters, open), outcomes);
  const read = batch.map(({ id, recipientId, noticeId }) => {
    const before = posted.get(id)?.postedAt.getTime();
    return { recipientId, noticeId, readAt: before === undefined ? readAt : new Date(before - POSTING_TAKES_MS) };
  });
  await makeGood(deps, read);
  return batch.map(({ id }) => outcomes.get(id)!);
}

/** What was decided, corrected or recalled while it was being posted, by this attempt or one that died before this. */
async function makeGood(
  { database, edit }: ConversationDeps,
  cards: Parameters<typeof changedSince>[1],
): Promise<void> {
  const stale = await changedSince(database, cards);
  if (stale.length === 0) return;
  await requestEdits(database, stale);
  edit?.();
}

/** Where each of them may go, but for the standing conversation, which is opened for whoever has nowhere else to go. */
async function planTrips(
  { database, decisionsOf }: ConversationDeps,
  posters: ReadonlyMap<Surface, Poster>,
  open: readonly { readonly delivery: ClaimedDelivery; readonly notice: Notice }[],
): Promise<Trip[]> {
  if (open.length === 0) return [];
  const ids = [...new Set(open.map(({ delivery }) => delivery.recipientId))];
  const asking = open.filter(({ notice }) => notice.card.actions?.length).map(({ notice }) => notice.id);
  const needsPeople = asking.length > 0 || [...posters.values()].some(({ likely }) => likely !== undefined);
  const [known, people, decisions] = await Promise.all([
    referencesOf(database, ids),
    needsPeople ? findRecipients(database, ids) : undefined,
    asking.length === 0 ? undefined : decisionsOf(database, asking),
  ]);
  const places = new Map(ids.map((id) => [id, placesOf(posters, known.get(id) ?? [], people?.get(id))]));
  return open.map(({ delivery, notice }) => {
    const { recipientId } = delivery;
    const content = { notice, decision: decisions?.get(notice.id), reader: people?.get(recipientId) };
    return { delivery, content, places: places.get(recipientId)!, tried: 0, stranded: false };
  });
}

function placesOf(
  posters: ReadonlyMap<Surface, Poster>,
  known: readonly Reference[],
  person: Profile | undefined,
): Reference[] {
  const usable = known.filter(({ state, channel }) => state === 'ok' && posters.has(channel));
  return person === undefined ? usable : [...usable, ...likelyPlaces(posters.values(), person, known)];
}

/** Posts what can be posted, and sends whoever met a closed door on to the next one. */
async function travel(
  deps: ConversationDeps,
  posters: ReadonlyMap<Surface, Poster>,
  trips: readonly Trip[],
  outcomes: Map<string, Outcome>,
): Promise<void> {
  for (let under = trips; under.length > 0; ) {
    await openStanding(deps.database, under);
    const going = under.filter((trip) => !isHeldBack(deps, trip, outcomes));
    const bySurface = Map.groupBy(going, ({ places, tried }) => places[tried]!.channel);
    const rounds = [...bySurface].map(([surface, group]) => postGroup(deps, posters.get(surface)!, group, outcomes));
    under = (await Promise.all(rounds)).flat();
  }
}

/** The standing conversation, for those who have tried everything else. */
async function openStanding(sql: Sql, trips: readonly Trip[]): Promise<void> {
  const stranded = trips.filter(({ places, tried }) => tried === places.length);
  if (stranded.length === 0) return;
  const standing = await conversationsOf(sql, [...new Set(stranded.map(({ delivery }) => delivery.recipientId))]);
  for (const trip of stranded) {
    const { id: place, recipientId, agent: connection } = standing.get(trip.delivery.recipientId)!;
    trip.stranded = true;
    trip.places = [...trip.places, unseenPlace({ recipientId, channel: 'directline', connection, place })];
  }
}

/** A place whose service asked to wait is left alone; the delivery comes back then. */
function isHeldBack(
  { now = () => new Date() }: ConversationDeps,
  { delivery, places, tried }: Trip,
  outcomes: Map<string, Outcome>,
) {
  const waitMs = (places[tried]!.throttledUntil?.getTime() ?? 0) - now().getTime();
  if (waitMs <= 0) return false;
  outcomes.set(delivery.id, { kind: 'paced', cause: 'throttled', retryAfterMs: waitMs });
  return true;
}

/** Those that have to go on to their next place. */
async function postGroup(
  deps: ConversationDeps,
  poster: Poster,
  group: readonly Trip[],
  outcomes: Map<string, Outcome>,
): Promise<Trip[]> {
  const began = performance.now();
  const posts = group.map(({ delivery, content, places, tried }) => ({
    reference: places[tried]!,
    content,
    deliveryId: delivery.id,
  }));
  const results = await poster.post(posts);
  const cards: PostedCard[] = [];
  const on: Trip[] = [];
  for (const [i, trip] of group.entries()) {
    const result = results[i]!;
    const next = await settle(deps, trip, result, cards);
    if (next === undefined) on.push(trip);
    else outcomes.set(trip.delivery.id, next);
  }
  await recordPosted(deps.database, cards);
  const tookMs = performance.now() - began;
  if (cards.length > 0)
    deps.emit({ name: 'conversation.posted', surface: poster.surface, count: cards.length, tookMs });
  return on;
}

/** What came of it; undefined: on to the next place. */
async function settle(
  deps: ConversationDeps,
  trip: Trip,
  result: Result,
  cards: PostedCard[],
): Promise<Outcome | undefined> {
  const { delivery, places } = trip;
  const reference = places[trip.tried]!;
  switch (result.kind) {
    case 'posted':
      if (result.opened) await captureReference(deps.database, result.opened);
      cards.push({
        ...placeOf(result.opened ?? reference),
        ...keysOf(delivery),
        activityId: result.activityId,
        postedAt: result.at,
      });
      return { kind: 'delivered', providerId: result.activityId };
    case 'blocked':
    case 'gone':
      await lose(deps, reference, result.kind, result.cause);
      trip.tried++;
      // Somebody removes the standing conversation as soon as it is opened: not again and again.
      if (trip.tried < places.length || !trip.stranded) return undefined;
      return { kind: 'retry', cause: result.cause, retryAfterMs: undefined, detail: result.detail };
    case 'refused':
      return { kind: 'refused', cause: result.cause, detail: result.detail };
    case 'paced':
      return { kind: 'paced', cause: 'paced', retryAfterMs: result.retryAfterMs };
    case 'retry':
      if (result.retryAfterMs !== undefined) await throttle(deps, reference, result.retryAfterMs, result.cause);
      return { kind: 'retry', cause: result.cause, retryAfterMs: result.retryAfterMs, detail: result.detail };
    case 'stopped': {
      const { channel: surface, connection } = reference;
      deps.emit({ name: 'conversation.stopped', surface, connection, cause: result.cause });
      // It concerns one connection, while the lane carries all of them: so these try again, and the others go on.
      const cause = `${surface}_stopped:${result.cause}`;
      return { kind: 'retry', cause, retryAfterMs: result.retryAfterMs, detail: result.detail };
    }
  }
}

async function lose(
  deps: ConversationDeps,
  reference: Reference,
  state: 'blocked' | 'gone',
  cause: string,
): Promise<void> {
  deps.emit({ name: 'conversation.place-lost', surface: reference.channel, state, cause });
  // A place that was only likely is remembered as well, so that it is not tried with every notice.
  await captureReference(deps.database, placeOf(reference));
  await markReference(deps.database, reference, state, cause);
}

async function throttle(deps: ConversationDeps, reference: Reference, ms: number, cause: string): Promise<void> {
  const now = deps.now?.() ?? new Date();
  await throttleReference(deps.database, reference, new Date(now.getTime() + ms), cause, now);
}

function keysOf({ noticeId, id }: ClaimedDelivery) {
  return { noticeId, deliveryId: id };
}

function placeOf({
  recipientId,
  channel,
  connection,
  place,
  address,
  person,
}: Pick<Reference, 'recipientId' | 'channel' | 'connection' | 'place' | 'address'> & { person?: string | undefined }) {
  return { recipientId, channel, connection, place, address, person };
}
