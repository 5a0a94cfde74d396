import { describe, expect, it } from 'vitest';
import { useServer } from '../../../test/support/http-server.ts';
import { appendActivities } from '../../assistant/conversations/append.ts';
import { conversationOf, openConversation } from '../../assistant/conversations/conversation.ts';
import { encodeCursor } from './cursor.ts';

describe('conversations over HTTP', () => {
  const http = useServer();
  const path = '/v1/recipients/ada/conversations';

  async function ada() {
    await http.call('/v1/recipients/ada', { method: 'PUT', json: { displayName: 'Ada' } });
    return conversationOf(http.database, 'ada');
  }
  const say = (conversationId: string, ...texts: string[]) =>
    http.database.transaction((tx) =>
      appendActivities(
        tx,
        texts.map((text) => ({ conversationId, activity: { type: 'message', text } })),
      ),
    );

  it('are listed and read page by page, the newest first', async () => {
    const { id } = await ada();
    const other = await openConversation(http.database, { recipientId: 'ada' }, new Date(0));
    await say(id, 'one', 'two', 'three');
    const first = (await http.call(`${path}?limit=1`)).json;
    expect(first.items).toMatchObject([{ id, standing: true, activities: 3, openedAt: null }]);
    const second = (await http.call(`${path}?limit=1&cursor=${first.next}`)).json;
    expect(second).toMatchObject({ items: [{ id: other.id, standing: false, activities: 0 }], next: null });
    const said = (await http.call(`${path}/${id}/activities?limit=2`)).json;
    expect(said.items).toMatchObject([
      { activity: { text: 'three' }, author: 'carillon' },
      { activity: { text: 'two' } },
    ]);
    const rest = (await http.call(`${path}/${id}/activities?limit=2&cursor=${said.next}`)).json;
    expect(rest).toMatchObject({ items: [{ activity: { text: 'one' } }], next: null });
    const damaged = encodeCursor('activities', 'x');
    expect((await http.call(`${path}/${id}/activities?cursor=${damaged}`)).status).toBe(400);
  });

  it('are nobody else’s', async () => {
    const { id } = await ada();
    await http.call('/v1/recipients/bob', { method: 'PUT', json: {} });
    const foreign = `/v1/recipients/bob/conversations/${id}`;
    expect(await http.call(`${foreign}/activities`)).toMatchObject({
      status: 404,
      json: { code: 'conversation_not_found' },
    });
    expect((await http.call(foreign, { method: 'DELETE' })).status).toBe(404);
    expect((await http.call('/v1/recipients/nobody/conversations')).status).toBe(404);
    expect((await http.call(`${path}?cursor=x`)).status).toBe(400);
    const key = (await http.call('/v1/keys', { json: { name: 'bob', grants: ['listen recipient:bob'] } })).json.secret;
    expect((await http.call(path, { key })).status).toBe(403);
  });

  it('are closed with what was said in them; the next one is new', async () => {
    const { id } = await ada();
    await say(id, 'secret');
    expect((await http.call(`${path}/${id}`, { method: 'DELETE' })).status).toBe(204);
    expect((await http.call(`${path}/${id}`, { method: 'DELETE' })).status).toBe(404);
    expect(await http.database.query('select 1 from activity where conversation_id = $1', [id])).toEqual([]);
    expect((await conversationOf(http.database, 'ada')).id).not.toBe(id);
  });

  it('are tested: what came of it is told, and it stands there', async () => {
    const { id } = await ada();
    const tried = await http.call('/v1/recipients/ada/places/test', { json: { text: 'Hello?' } });
    expect(tried.json.items).toEqual([
      { surface: 'directline', connection: 'assistant', place: id, outcome: 'posted' },
    ]);
    const [last] = (await http.call(`${path}/${id}/activities`)).json.items;
    expect(last.activity.summary).toBe('Hello?');
    expect((await http.call('/v1/recipients/ada/places/test', { json: { surface: 'teams' } })).json.items).toEqual([]);
    expect((await http.call('/v1/recipients/nobody/places/test', { json: {} })).status).toBe(404);
    expect((await http.call('/v1/recipients/ada/inbox')).json.items).toEqual([]);
  });
});
