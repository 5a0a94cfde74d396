import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { json, Service, type StandinAnswer } from '../../../test/standins/service.ts';
import type { Notice } from '../../inbox/notice.ts';
import type { Card } from '../../kit/card.ts';
import { WebhookPoster } from './poster.ts';

const taken: { headers: Record<string, unknown>; body: string }[] = [];
let answer: StandinAnswer = { status: 202 };
let service: Service;
beforeAll(async () => {
  service = await Service.start({
    answer: ({ headers, body }) => {
      taken.push({ headers, body: String(body) });
      return answer;
    },
  });
});
afterAll(() => service.stop());
afterEach(() => {
  answer = { status: 202 };
});

const poster = () => new WebhookPoster(new Map([['room', { url: `${service.url}/workflow?sig=secret` }]]));
async function post(card: Partial<Card> = {}) {
  const line = poster();
  const [reference] = line.likely({ id: 'finance-room', attributes: {}, addresses: { webhook: 'room' } });
  const about = { topic: 'hr', partition: 0, sequence: 1, eventId: 'e', notification: 'n', category: 'hr' };
  const whole = { title: 'Hello', body: 'A line', ...card };
  const notice: Notice = {
    id: 'ntc_1',
    recipientId: 'finance-room',
    ...about,
    urgency: 'normal',
    card: whole,
    createdAt: new Date(),
  };
  return (await line.post([{ reference: reference!, content: { notice }, deliveryId: 'dlv_1' }]))[0];
}

test('a workflow gets an Adaptive Card with its text twin, in UTF-8, without buttons that nobody would hear', async () => {
  expect(await post({ actions: [{ id: 'yes', label: 'Yes' }] })).toMatchObject({
    kind: 'posted',
    activityId: undefined,
  });
  const { headers, body } = taken.at(-1)!;
  expect(headers['content-type']).toBe('application/json; charset=utf-8');
  const message = JSON.parse(body) as { attachments: { contentUrl: null; content: object }[] };
  expect(message).toMatchObject({
    type: 'message',
    summary: expect.stringContaining('Hello'),
    attachments: [
      { contentType: 'application/vnd.microsoft.card.adaptive', contentUrl: null, content: { version: '1.5' } },
    ],
  });
  expect(body).not.toContain('Action.Submit');
  expect(body).not.toContain('Action.Execute');
});

test('an error that is told in the body of a 200 is an error', async () => {
  const words =
    'Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId 1';
  answer = { status: 200, body: words };
  expect(await post()).toMatchObject({ kind: 'retry', cause: 'http_429' });
});

test.each([
  [json(429, {}, { 'retry-after': '7' }), { kind: 'retry', retryAfterMs: 7_000 }],
  [{ status: 503 }, { kind: 'retry', cause: 'http_503' }],
  [{ status: 410 }, { kind: 'gone', cause: 'http_410' }],
  [{ status: 401 }, { kind: 'stopped', cause: 'http_401' }],
  [
    { status: 400, body: 'bad card' },
    { kind: 'refused', detail: 'bad card' },
  ],
  [
    { status: 302, headers: { location: 'http://127.0.0.1:1/' } },
    { kind: 'refused', cause: 'http_302' },
  ],
] as const)('the answer %j is understood', async (given, result) => {
  answer = given;
  expect(await post()).toMatchObject(result);
});

test('more than 28 KB is refused before it is sent', async () => {
  const before = taken.length;
  expect(await post({ body: 'x'.repeat(15_000) })).toMatchObject({ kind: 'refused', cause: 'MessageSizeTooBig' });
  expect(taken.length).toBe(before);
});

test('a name that the config does not have reaches nobody', () => {
  expect(poster().likely({ id: 'x', attributes: {}, addresses: { webhook: 'another' } })).toEqual([]);
});
