import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { Database } from '../kit/database.ts';
import { ensureRecipients, getPreferences, pageOfPeople } from '../people/preference-records.ts';
import { listRecipients } from '../people/recipients.ts';
import { appendNotices } from './append.ts';
import { findItems, itemsAfter, listInbox, readHeads } from './feed.ts';
import { markItems } from './mark.ts';
import { findNotices } from './notice.ts';

const TABLES = ['recipient', 'preference', 'notice', 'inbox', 'inbox_item'];

describe('statements of people and inbox, on tables of some size', () => {
  const { database: admin, url } = useDatabase();
  // One connection, so that its counts of scans can be flushed and read.
  let database: Database;

  beforeAll(async () => {
    database = new Database({ url, poolSize: 1 });
    await admin.query(
      `insert into recipient (id, created_at, updated_at) select 'r' || n, now(), now() from generate_series(1, 30000) n`,
    );
    await admin.query(
      'insert into preference (recipient_id, created_at, updated_at) select id, now(), now() from recipient',
    );
    await admin.query(
      `insert into notice (recipient_id, id, topic, partition, sequence, event_id, notification, category, urgency, card, created_at)
       select 'r' || 1 + n % 3000, 'ntc_' || n, 'hr', 0, n, 'e' || n, 'n', 'c', 'normal', '{"title":"t"}', now() from generate_series(1, 60000) n`,
    );
    await admin.query(
      `insert into inbox_item (recipient_id, position, notice_id, created_at)
       select recipient_id, row_number() over (partition by recipient_id order by sequence), id, now() from notice`,
    );
    await admin.query(
      `insert into inbox (recipient_id, last_position, unseen, unread) select recipient_id, count(*), count(*), count(*) from inbox_item group by 1`,
    );
    await admin.query('vacuum analyze recipient, preference, notice, inbox, inbox_item');
  });
  afterAll(() => database.close());

  async function scans(): Promise<Record<string, number>> {
    await database.query('select pg_stat_force_next_flush()');
    await database.query('select pg_stat_clear_snapshot()');
    const rows = await database.query<{ name: string; scans: number }>(
      'select relname as name, seq_scan as scans from pg_stat_user_tables where relname = any($1)',
      [TABLES],
    );
    return Object.fromEntries(rows.map(({ name, scans }) => [name, scans]));
  }

  const some = Array.from({ length: 300 }, (_, i) => `r${1 + i * 10}`);
  const notice = (n: number) => {
    const id = `new_${n}`;
    const place = { topic: 'hr', partition: 0, sequence: n, eventId: id, createdAt: new Date() };
    const about = { notification: 'n', category: 'c', urgency: 'normal', card: { title: 't' } } as const;
    return { notice: { id, recipientId: some[n % 300]!, ...place, ...about }, card: '{"title":"t"}', toInbox: true };
  };

  it.each<[string, () => Promise<unknown>]>([
    ['the people of a batch', () => database.transaction((tx) => ensureRecipients(tx, some))],
    ['a page of people', () => pageOfPeople(database, 'r5', 100)],
    ['recipients by prefix', () => listRecipients(database, { prefix: 'r12', limit: 20 })],
    ['one preference', () => getPreferences(database, 'r7')],
    [
      'the notices of a batch',
      () =>
        database.transaction((tx) =>
          appendNotices(
            tx,
            Array.from({ length: 300 }, (_, n) => notice(n)),
          ),
        ),
    ],
    ['a page of an inbox', () => listInbox(database, 'r7', { cursor: '15', filter: 'unread' })],
    ['what a stream resumes from', () => itemsAfter(database, 'r7', 3, 64)],
    ['the heads of open streams', () => readHeads(database, some)],
    ['items by id', () => findItems(database, 'r8', ['ntc_7', 'ntc_3007'])],
    ['notices for a channel', () => findNotices(database, [{ recipientId: 'r8', noticeId: 'ntc_7' }])],
    ['marking by id', () => database.transaction((tx) => markItems(tx, 'r8', { ids: ['ntc_7'] }, 'read'))],
    ['marking all', () => database.transaction((tx) => markItems(tx, 'r9', { all: true }, 'seen'))],
  ])('read %s by index', async (_what, run) => {
    // After five runs PostgreSQL may keep a plan that does not look at the parameters: that is the one that counts.
    for (let turn = 0; turn < 6; turn++) await run();
    const before = await scans();
    for (let turn = 0; turn < 3; turn++) await run();
    expect(await scans()).toEqual(before);
  });
});
