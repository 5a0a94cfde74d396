import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { cardJson } from '../kit/card.ts';
import { appendNotices, type NewNotice } from './append.ts';
import { recallInInboxes } from './change.ts';
import { listInbox, readHead } from './feed.ts';
import { forgetInbox, type Mark, markItems, marks, type Which } from './mark.ts';
import { findNotices, type Notice } from './notice.ts';
import { forgetOldNotices } from './retention.ts';

let made = 0;

function notice(recipientId: string, over: Partial<Notice> = {}): NewNotice {
  made++;
  const notice: Notice = {
    id: `ntc_${made}`,
    recipientId,
    topic: 'hr',
    partition: 0,
    sequence: made,
    eventId: `e${made}`,
    notification: 'joined',
    category: 'hr',
    urgency: 'normal',
    card: { title: `Notice ${made}`, body: 'It happened.' },
    createdAt: new Date('2026-01-02T03:04:05Z'),
    ...over,
  };
  return { notice, card: cardJson(notice.card), toInbox: true };
}

describe('the inbox', () => {
  const { database } = useDatabase();
  const append = (notices: readonly NewNotice[]) => database.transaction((tx) => appendNotices(tx, notices));
  const mark = (id: string, ids: readonly string[], as: Mark) =>
    database.transaction((tx) => markItems(tx, id, { ids }, as));

  async function recount(recipientId: string) {
    const [row] = await database.query(
      `select count(*) filter (where seen_at is null and archived_at is null and recalled_at is null)::int as unseen,
       count(*) filter (where read_at is null and archived_at is null and recalled_at is null)::int as unread,
       coalesce(max(position), 0)::int as position, count(*)::int as items
     from inbox_item where recipient_id = $1`,
      [recipientId],
    );
    return row as { unseen: number; unread: number; position: number; items: number };
  }

  it('shows the newest notice first and pages back to the oldest', async () => {
    const notices = Array.from({ length: 5 }, () => notice('pages'));
    await append(notices);
    const first = await listInbox(database, 'pages', { limit: 3 });
    const second = await listInbox(database, 'pages', { limit: 3, cursor: first.next });
    const ids = [...first.items, ...second.items].map((item) => item.id);
    expect(ids).toEqual(notices.map(({ notice }) => notice.id).reverse());
    expect(second.next).toBeUndefined();
    expect(first).toMatchObject({ unseen: 5, unread: 5, position: 5 });
    expect(first.items[0]).toMatchObject({ position: 5, body: 'It happened.', seenAt: null, topic: 'hr' });
  });

  it('is empty for somebody nobody has heard of', async () => {
    expect(await listInbox(database, 'nobody')).toEqual({
      items: [],
      unseen: 0,
      unread: 0,
      position: 0,
      next: undefined,
    });
  });

  it('refuses a cursor that it did not give out', async () => {
    await expect(listInbox(database, 'pages', { cursor: "1' or" })).rejects.toMatchObject({ code: 'bad_request' });
  });

  it('takes a notice once, however often its event is replayed', async () => {
    const once = notice('replayed');
    const [first] = await append([once]);
    expect(first).toMatchObject({ position: 1, head: { unseen: 1, unread: 1, position: 1 } });
    expect(await append([once])).toEqual([]);
    const [, later] = [await append([once]), await append([once, notice('replayed')])];
    expect(later).toMatchObject([{ position: 2, head: { unseen: 2, position: 2 } }]);
    expect(await recount('replayed')).toEqual({ unseen: 2, unread: 2, position: 2, items: 2 });
  });

  it('keeps a notice for other channels out of the inbox', async () => {
    const mailOnly = { ...notice('mail'), toInbox: false };
    expect(await append([mailOnly])).toMatchObject([{ position: undefined }]);
    expect((await listInbox(database, 'mail')).items).toEqual([]);
    const key = { recipientId: 'mail', noticeId: mailOnly.notice.id };
    expect((await findNotices(database, [key])).get(key.noticeId)).toEqual(mailOnly.notice);
  });

  it('reading implies seeing, and archived items count as neither', async () => {
    const [a, b] = [notice('states'), notice('states')];
    await append([a, b]);
    expect((await mark('states', [a.notice.id], 'read')).head).toMatchObject({ unseen: 1, unread: 1 });
    expect((await mark('states', [a.notice.id], 'unread')).head).toMatchObject({ unseen: 1, unread: 2 });
    expect((await mark('states', [a.notice.id, b.notice.id], 'archived')).head).toMatchObject({ unseen: 0, unread: 0 });
    expect((await listInbox(database, 'states')).items).toEqual([]);
    expect((await listInbox(database, 'states', { filter: 'archived' })).items).toHaveLength(2);
    expect((await mark('states', [b.notice.id], 'unarchived')).head).toMatchObject({ unseen: 0, unread: 1 });
  });

  it('marking again, or marking what is not there, changes nothing', async () => {
    const one = notice('again');
    await append([one]);
    const first = await mark('again', [one.notice.id], 'seen');
    expect(first.ids).toEqual([one.notice.id]);
    expect(await mark('again', [one.notice.id, 'ntc_none'], 'seen')).toEqual({ ids: [], head: first.head });
    expect((await mark('nobody', ['x'], 'read')).ids).toEqual([]);
  });

  it('marks all up to the last one the person has seen', async () => {
    await append([notice('all'), notice('all'), notice('all')]);
    const upTo = await database.transaction((tx) => markItems(tx, 'all', { all: true, upTo: 2 }, 'read'));
    expect(upTo.head).toMatchObject({ unseen: 1, unread: 1 });
    const rest = await database.transaction((tx) => markItems(tx, 'all', { all: true }, 'read'));
    expect(rest.head).toMatchObject({ unseen: 0, unread: 0 });
  });

  it('forgets a person whole', async () => {
    await append([notice('forgotten')]);
    await database.transaction((tx) => forgetInbox(tx, 'forgotten'));
    expect(await recount('forgotten')).toMatchObject({ items: 0 });
    expect(await readHead(database, 'forgotten')).toMatchObject({ position: 0, unread: 0 });
  });

  it('forgets what is old, counts on, and gives out no position twice', async () => {
    const [old, read, fresh] = [notice('kept'), notice('kept'), notice('kept', { createdAt: new Date('2026-03-01') })];
    await append([old, read]);
    await append([fresh]);
    await append([notice('only-old')]);
    await mark('kept', [read.notice.id], 'read');
    const retention = { now: new Date('2026-03-05'), keepDays: 30 };
    expect(await forgetOldNotices(database, retention)).toBeGreaterThanOrEqual(3);
    expect(await listInbox(database, 'kept')).toMatchObject({
      items: [{ id: fresh.notice.id }],
      unseen: 1,
      unread: 1,
      position: 3,
    });
    expect(await listInbox(database, 'only-old')).toMatchObject({ items: [], unseen: 0, unread: 0, position: 1 });
    expect(await forgetOldNotices(database, retention)).toBe(0);
    expect(await append([notice('kept')])).toMatchObject([{ position: 4 }]);
  });

  it('positions have no gaps and counts are right while batches and marks run into each other', async () => {
    const people = ['c1', 'c2', 'c3'];
    const writer = async (turn: number) => {
      const batch = Array.from({ length: 10 }, (_, i) => notice(people[(i * turn) % 3]!));
      await append(batch);
      const [one, two] = batch;
      await mark(one!.notice.recipientId, [one!.notice.id, two!.notice.id], marks[turn % marks.length]!);
      if (turn % 4 === 0) await database.transaction((tx) => markItems(tx, people[turn % 3]!, { all: true }, 'seen'));
    };
    await Promise.all(Array.from({ length: 24 }, (_, turn) => writer(turn)));
    for (const person of people) {
      const { items, ...counted } = await recount(person);
      expect(await readHead(database, person)).toMatchObject(counted);
      expect(counted.position).toBe(items);
    }
  });

  async function markedHead(person: string, which: Which, as: Mark) {
    return (await database.transaction((tx) => markItems(tx, person, which, as))).head;
  }
  async function recall(person: string, ids: readonly string[]) {
    const keys = ids.map((noticeId) => ({ recipientId: person, noticeId }));
    await database.transaction((tx) => recallInInboxes(tx, keys, undefined, new Date()));
    return readHead(database, person);
  }

  it('the counts always are what a recount says', async () => {
    let run = 0;
    const step = fc.record({
      as: fc.constantFrom(...marks, 'recalled' as const),
      picks: fc.array(fc.nat(9), { maxLength: 4 }),
      all: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.nat(8), fc.array(step, { maxLength: 12 }), async (size, steps) => {
        const person = `p${run++}`;
        const notices = Array.from({ length: size }, () => notice(person));
        await append(notices);
        for (const { as, picks, all } of steps) {
          const ids = picks.flatMap((pick) => notices[pick]?.notice.id ?? []);
          const which = all ? ({ all: true } as const) : { ids };
          const head = as === 'recalled' ? await recall(person, ids) : await markedHead(person, which, as);
          const { unseen, unread } = await recount(person);
          expect(head).toMatchObject({ unseen, unread });
        }
      }),
      { numRuns: 40 },
    );
  });
});
