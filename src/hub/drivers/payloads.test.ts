import fc from 'fast-check';
import { expect, test } from 'vitest';
import { apnsPayload, confidential, fcmPayload, type NoticeContent, webPushPayload, wnsPayload } from './payloads.ts';

const content: NoticeContent = {
  noticeId: 'ntc_1',
  card: {
    title: 'Invoice <7>',
    body: 'Due on "Friday" & unpaid',
    link: { label: 'Open', url: 'https://erp.example/7' },
  },
  category: 'finance',
  urgency: 'high',
  badge: 3,
};
const limits = [
  [apnsPayload, 4096],
  [fcmPayload, 4096],
  [wnsPayload, 5000],
  [webPushPayload, 3993],
] as const;

test('Apple gets an alert with its interruption level, thread and pointers', () => {
  expect(JSON.parse(apnsPayload(content).payload)).toEqual({
    aps: {
      alert: { title: 'Invoice <7>', body: 'Due on "Friday" & unpaid' },
      sound: 'default',
      badge: 3,
      category: 'finance',
      'thread-id': 'finance',
      'interruption-level': 'time-sensitive',
    },
    notice: 'ntc_1',
    link: 'https://erp.example/7',
  });
  expect(JSON.parse(apnsPayload({ ...content, urgency: 'low' }).payload).aps).not.toHaveProperty('sound');
});

test('Firebase gets data of strings only, Windows a toast that is XML, browsers what their worker reads', () => {
  const { message } = JSON.parse(fcmPayload(content).payload);
  expect(Object.values(message.data).every((value) => typeof value === 'string')).toBe(true);
  expect(wnsPayload(content).payload).toContain(
    '<text>Invoice &lt;7&gt;</text><text>Due on &quot;Friday&quot; &amp; unpaid</text>',
  );
  expect(JSON.parse(webPushPayload(content).payload)).toMatchObject({
    title: 'Invoice <7>',
    notice: 'ntc_1',
    badge: 3,
  });
});

test('a confidential notice carries no word of the card', () => {
  for (const [write] of limits) {
    const { payload } = write(confidential(content));
    expect(payload).toContain('You have a new message');
    expect(payload).toContain('ntc_1');
    expect(payload).not.toMatch(/Invoice|Friday|erp/);
  }
});

test.each(limits)('%o: whatever the text, the payload fits and stays whole', (write, limit) => {
  const body = fc.string({ unit: 'binary', minLength: 0, maxLength: 8000 });
  fc.assert(
    fc.property(body, (text) => {
      const { payload } = write({ ...content, card: { ...content.card, body: text } });
      expect(Buffer.byteLength(payload)).toBeLessThanOrEqual(limit);
      if (write !== wnsPayload) JSON.parse(payload);
    }),
    { numRuns: 60 },
  );
});
