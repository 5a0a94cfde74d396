import { describe, expect, it } from 'vitest';
import { eventually } from '../../../test/support/eventually.ts';
import { ADMIN_KEY, useServer } from '../../../test/support/http-server.ts';
import { cancelDeliveries } from '../../deliveries/cancel.ts';
import { claimDue } from '../../deliveries/claim.ts';
import { planDeliveries } from '../../deliveries/plan.ts';
import { settle } from '../../deliveries/settle.ts';
import type { Notification } from '../../handler/notification.ts';

type Said = { people: string[]; text: string };

const said: Notification = {
  name: 'said',
  topic: 'hr',
  category: 'hr',
  when: "type = 'said' or type = 'asked'",
  channels: ['inbox'],
  audience: ({ data }) => (data as Said).people,
  content: ({ type, data }) => ({
    title: (data as Said).text,
    body: 'Your salary rises by 400.',
    ...(type === 'asked' && { actions: [{ id: 'yes', label: 'Yes' }] }),
  }),
};
const toAll: Notification = {
  ...said,
  name: 'to-all',
  when: "type = 'to all'",
  audience: () => ({ where: "team = 'walkers'" }),
};

let events = 0;

describe('notices that are taken back', () => {
  const http = useServer({}, [said, toAll]);

  async function tell(people: string[], type = 'said') {
    const id = `e${++events}`;
    const event = { specversion: '1.0', id, source: '/t', type, data: { people, text: `Text of ${id}` } };
    const headers = { 'content-type': 'application/cloudevents+json' };
    expect((await http.call('/v1/topics/hr/events', { json: event, headers })).status).toBe(202);
    await eventually(async () => {
      for (const person of people) expect(await items(person)).toContain(`Text of ${id}`);
    });
    return id;
  }
  const page = async (person: string, query = '') =>
    (await http.call(`/v1/recipients/${person}/inbox${query}`)).json as {
      items: { id: string; title: string; body: string; recalledAt: string | null; card: object }[];
      unseen: number;
      unread: number;
    };
  const items = async (person: string) => (await page(person)).items.map(({ title }) => title);
  const recall = (json: object, key = ADMIN_KEY) => http.call('/v1/topics/hr/notices/recall', { json, key });
  const update = (json: object) => http.call('/v1/topics/hr/notices/update', { json });

  it('say that they were withdrawn and why, and nothing of what they said; they count no more', async () => {
    const event = await tell(['ada', 'bob']);
    const kept = await tell(['ada']);
    const answer = await recall({ event, reason: 'Sent to the wrong team.' });
    expect(answer.json).toEqual({ notices: 2, cancelled: 0, questions: 0 });
    const ada = await page('ada');
    expect(ada).toMatchObject({ unseen: 1, unread: 1 });
    expect(ada.items).toMatchObject([
      { title: `Text of ${kept}`, recalledAt: null },
      { title: 'This notice was withdrawn', body: 'Sent to the wrong team.', recalledAt: expect.any(String) },
    ]);
    expect(JSON.stringify(await page('bob'))).not.toMatch(/salary|Text of/);
    expect((await page('bob', '?filter=unread')).items).toEqual([]);
    expect((await recall({ event })).json).toEqual({ notices: 0, cancelled: 0, questions: 0 });
    // Marked afterwards, it still counts as nothing.
    await http.call('/v1/recipients/bob/inbox/mark', { json: { all: true, as: 'read' } });
    expect(await page('bob')).toMatchObject({ unseen: 0, unread: 0 });
    await http.call('/v1/recipients/bob/inbox/mark', { json: { ids: [ada.items[1]!.id], as: 'unread' } });
    expect(await page('bob')).toMatchObject({ unseen: 0, unread: 0 });
  });

  it('may be those of some people, and the trace says who took them back', async () => {
    const event = await tell(['cy', 'dan']);
    expect((await recall({ event, recipients: ['cy'], reason: 'Not for Cy.' })).json.notices).toBe(1);
    expect(await items('cy')).toEqual(['This notice was withdrawn']);
    expect(await items('dan')).toEqual([`Text of ${event}`]);
    const { steps } = (await http.call('/v1/recipients/cy/trace')).json;
    expect(steps[0]).toMatchObject({ step: 'recall', outcome: 'recalled', detail: 'key admin: Not for Cy.' });
  });

  it('are told to open pages, and so are corrections', async () => {
    const event = await tell(['eve']);
    const abort = new AbortController();
    const headers = { authorization: `Bearer ${ADMIN_KEY}` };
    const response = await fetch(`${http.server.url}/v1/recipients/eve/inbox/stream`, {
      headers,
      signal: abort.signal,
    });
    let text = '';
    const reading = response.body!.pipeThrough(new TextDecoderStream()).pipeTo(
      new WritableStream({
        write: (chunk) => {
          text += chunk;
        },
      }),
    );
    await eventually(() => expect(text).toContain('event: counts'));
    expect((await update({ event, card: { title: 'Corrected', body: 'By 300.' } })).json).toEqual({ notices: 1 });
    await eventually(() => expect(text).toMatch(/event: updated\ndata: .*"title":"Corrected","body":"By 300\."/));
    await recall({ event });
    await eventually(() => expect(text).toMatch(/event: updated\ndata: .*"recalledAt":"2/));
    await eventually(() => expect(text).toContain('event: counts\ndata: {"unseen":0,"unread":0}'));
    abort.abort();
    await reading.catch(() => {});
    expect((await update({ event, card: { title: 'Too late' } })).json).toEqual({ notices: 0 });
    expect(await items('eve')).toEqual(['This notice was withdrawn']);
  });

  it('ask nothing any more: the last one that is taken back withdraws the question', async () => {
    const event = await tell(['fay', 'gus'], 'asked');
    const { id } = (await page('fay')).items[0]!;
    expect((await recall({ event, recipients: ['fay'] })).json).toMatchObject({ notices: 1, questions: 0 });
    const answer = (person: string, notice: string) =>
      http.call(`/v1/recipients/${person}/inbox/${notice}/actions/yes`, { json: {} });
    expect(await answer('fay', id)).toMatchObject({ status: 410, json: { code: 'withdrawn' } });
    expect((await recall({ event })).json).toMatchObject({ notices: 1, questions: 1 });
    const [gus] = (await page('gus')).items;
    expect(await answer('gus', gus!.id)).toMatchObject({ status: 410, json: { code: 'withdrawn' } });
    const questions = (await http.call('/v1/questions?recipient=gus')).json.items;
    expect(questions).toMatchObject([{ decision: { state: 'withdrawn' } }]);
  });

  it('that still ask something can be listed: not those that are decided, taken back, or of whoever asked', async () => {
    const [decided, recalled, open, last] = [
      await tell(['kim'], 'asked'),
      await tell(['kim'], 'asked'),
      await tell(['kim'], 'asked'),
      await tell(['kim'], 'asked'),
    ];
    await tell(['kim']);
    const own = await tell(['kim'], 'asked');
    await http.database.query(`update question set requester = 'kim' where event_id = $1`, [own]);
    const { id } = (await page('kim')).items.find(({ title }) => title === `Text of ${decided}`)!;
    await http.call(`/v1/recipients/kim/inbox/${id}/actions/yes`, { json: {} });
    await recall({ event: recalled });
    const asking = async (query: string) => {
      const { json } = await http.call(`/v1/recipients/kim/inbox?filter=needs-answer${query}`);
      return { titles: json.items.map(({ title }: { title: string }) => title), next: json.next };
    };
    const first = await asking('&limit=1');
    expect(first.titles).toEqual([`Text of ${last}`]);
    expect(await asking(`&limit=1&cursor=${first.next}`)).toEqual({ titles: [`Text of ${open}`], next: null });
    expect((await asking('')).titles).toEqual([`Text of ${last}`, `Text of ${open}`]);
  });

  it('keep what is asked when they are corrected', async () => {
    const event = await tell(['hal'], 'asked');
    const refused = await update({ event, card: { title: 'x', actions: [{ id: 'other', label: 'Other' }] } });
    expect(refused).toMatchObject({ status: 409, json: { code: 'conflict' } });
    expect((await update({ event, card: { title: 'Corrected' } })).json).toEqual({ notices: 1 });
    expect((await page('hal')).items[0]).toMatchObject({ card: { title: 'Corrected', actions: [{ id: 'yes' }] } });
  });

  it('stop a walk through an audience; whoever was told before has it taken back', async () => {
    await http.database.query(
      `insert into recipient (id, attributes, created_at, updated_at)
       select 'w' || lpad(n::text, 5, '0'), '{"team":"walkers"}', now(), now() from generate_series(1, 3000) n`,
    );
    await http.database.query(
      `insert into preference (recipient_id, created_at, updated_at) select id, now(), now() from recipient where id like 'w0%'`,
    );
    const event = { specversion: '1.0', id: 'walked', source: '/t', type: 'to all', data: { people: [], text: 'All' } };
    const headers = { 'content-type': 'application/cloudevents+json' };
    await http.call('/v1/topics/hr/events', { json: event, headers });
    const told = async () =>
      (await http.database.query<{ n: number }>(`select count(*)::int as n from notice where event_id = 'walked'`))[0]!
        .n;
    await eventually(async () => expect(await told()).toBeGreaterThan(0));
    await recall({ event: 'walked' });
    const left = await http.database.query(
      `select 1 from notice where event_id = 'walked' and recalled_at is null union all select 1 from audience_walk`,
    );
    expect(left).toEqual([]);
  });

  it.each([
    [{}, 400, 'bad_request'],
    [{ event: 'e1', sequence: 1 }, 400, 'bad_request'],
    [{ event: 'nobody-sent-this' }, 404, 'not_found'],
    [{ sequence: 99_999 }, 404, 'not_found'],
    [{ event: 'e1', recipients: ['nobody'] }, 404, 'not_found'],
    [{ event: 'e1', recipients: ['a b'] }, 400, undefined],
    [{ event: 'e1', reason: '' }, 400, 'bad_request'],
  ])('are named well: %j is %i', async (body, status, code) => {
    const answer = await recall(body);
    expect(answer.status).toBe(status);
    if (code) expect(answer.json.code).toBe(code);
  });

  it('are taken back by whoever may send to the topic, and by nobody else', async () => {
    const event = await tell(['ivy']);
    const make = async (right: string) => {
      const grants = [`${right} topic:hr`];
      return (await http.call('/v1/keys', { json: { name: `k-${right}`, grants } })).json.secret as string;
    };
    expect((await recall({ event }, await make('listen'))).status).toBe(403);
    expect((await update({ event, card: { title: '' } })).json.code).toBe('card_invalid');
    expect(await items('ivy')).toEqual([`Text of ${event}`]);
    expect((await recall({ event }, await make('send'))).json.notices).toBe(1);
  });

  it('are not delivered: what waits is cancelled, and what is being sent is settled by nobody', async () => {
    const now = new Date();
    const plan = { recipientId: 'jan', endpoint: null, dueAt: now, urgency: 'normal' } as const;
    await http.database.transaction((tx) =>
      planDeliveries(tx, [
        { ...plan, noticeId: 'ntc_waits', channel: 'conversation', dueAt: new Date(now.getTime() + 60_000) },
        { ...plan, noticeId: 'ntc_sending', channel: 'conversation' },
        { ...plan, noticeId: 'ntc_other', channel: 'conversation' },
      ]),
    );
    const claimed = await claimDue(http.database, { channel: 'conversation', limit: 10, now, leaseMs: 60_000 });
    expect(claimed).toHaveLength(2);
    const ids = ['ntc_waits', 'ntc_sending'];
    expect(await http.database.transaction((tx) => cancelDeliveries(tx, ids, new Date()))).toBe(2);
    const verdict = { kind: 'delivered', providerId: undefined } as const;
    const settled = await settle(
      http.database,
      claimed.map((delivery) => ({ delivery, verdict, at: now, tookMs: 1 })),
    );
    expect(settled.size).toBe(1);
    const rows = await http.database.query(
      `select notice_id, outcome, cause, detail is not null as doubt from attempt where recipient_id = 'jan' order by 1`,
    );
    expect(rows).toEqual([
      { notice_id: 'ntc_other', outcome: 'delivered', cause: null, doubt: false },
      { notice_id: 'ntc_sending', outcome: 'dropped', cause: 'recalled', doubt: true },
      { notice_id: 'ntc_waits', outcome: 'dropped', cause: 'recalled', doubt: false },
    ]);
  });
});
