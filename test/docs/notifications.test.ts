// The guide to notifications: its configuration loads, and with its preferences people get what the page says.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeEvent } from '../../src/events/cloudevent.ts';
import { toMessage } from '../../src/events/to-message.ts';
import { emailEndpoints } from '../../src/handler/endpoints.ts';
import { draftBatch } from '../../src/handler/handler.ts';
import { writeEvents } from '../../src/handler/write.ts';
import { loadConfig } from '../../src/main/config/load.ts';
import { parsePreferences } from '../../src/people/parse-preferences.ts';
import { putPreferences } from '../../src/people/preference-records.ts';
import { putRecipient } from '../../src/people/recipients.ts';
import { useDatabase } from '../support/database.ts';

const guide = await readFile('docs/notifications.md', 'utf8');
const fence = (language: string) => new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(guide)![1]!;

describe('the guide to notifications', () => {
  const { database } = useDatabase();
  // In the folder of the project, because the example imports from there.
  const file = join(process.cwd(), `guide-${process.pid}.config.ts`);
  let sequence = 0;

  beforeAll(() => writeFile(file, fence('ts')));
  afterAll(() => rm(file));

  async function handle(type: string, data: object) {
    const { definitions } = await loadConfig(file);
    const attributes = { specversion: '1.0', id: 'e1', source: '/shop', type, datacontenttype: 'application/json' };
    const message = toMessage(makeEvent(attributes, { data, raw: Buffer.from(JSON.stringify(data)) }, new Date()));
    const place = { topic: 'shop', partition: 0, sequence: ++sequence, enqueuedAt: new Date(), deliveryCount: 0 };
    const deps = { database, definitions, finders: { email: emailEndpoints } };
    const now = new Date();
    const drafted = await draftBatch(deps, [{ ...message, ...place, messageId: message.messageId! }], now);
    return database.transaction((tx) => writeEvents(tx, drafted, now));
  }

  it('has a configuration that tells the customer, asks the preferences and walks through a rule', async () => {
    const parcel = { order: '17', carrier: 'Post', value: 150 };
    await database.transaction((tx) => putRecipient(tx, 'ada', { displayName: 'Ada', email: 'ada@example.org' }));
    const first = await handle('shop.order.shipped', { ...parcel, customer: 'ada' });
    expect(first.appended).toMatchObject([{ given: { notice: { card: { body: 'Hello Ada, Post has it now.' } } } }]);
    expect(first.deliveries).toBe(0);
    await database.transaction((tx) => putPreferences(tx, 'ada', parsePreferences(JSON.parse(fence('json')))));
    expect(await handle('shop.order.shipped', { ...parcel, customer: 'ada' })).toMatchObject({ deliveries: 1 });
    expect((await handle('shop.order.shipped', { ...parcel, customer: 'ada', value: 50 })).appended).toEqual([]);
    expect((await handle('shop.order.shipped', { ...parcel, customer: 'ada', carrier: 'pickup' })).appended).toEqual(
      [],
    );
    expect(await handle('shop.closed', { reason: 'Stocktaking' })).toMatchObject({ walks: 1, appended: [] });
  });

  it('shows words that the trace has', async () => {
    const rows = await database.query<{ detail: string }>("select detail from trace where step = 'decide'");
    expect(rows.map((row) => row.detail)).toContain(
      'inbox on (default), mobile no endpoint, email on (chosen for this category)',
    );
    expect(guide).toContain('inbox on (default), mobile no endpoint, email on (chosen for this category)');
  });
});
