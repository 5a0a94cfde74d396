// Files of a conversation, by plain requests.
import { describe, expect, test } from 'vitest';
import type { Token } from '../../../test/support/direct-line.ts';
import { useDoor } from '../../../test/support/door.ts';

const { agent, line, poll } = useDoor();

describe('files', () => {
  async function upload(token: Token, parts: FormData | Blob, headers: Record<string, string> = {}) {
    const answer = await fetch(`${line.node.domain}/conversations/${token.conversationId}/upload?userId=x`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token.token}`, ...headers },
      body: parts,
    });
    return { status: answer.status, json: JSON.parse(await answer.text()) };
  }
  function form(activity: unknown, files: readonly [string, string, string][]): FormData {
    const data = new FormData();
    data.append('activity', new Blob([JSON.stringify(activity)], { type: 'application/vnd.microsoft.activity' }));
    for (const [content, type, name] of files) data.append('file', new Blob([content], { type }), name);
    return data;
  }

  test('come with the activity, are linked in it, and are served so that nothing in them runs', async () => {
    const token = await line.node.generate('xia', { conversation: 'new' });
    const attachments = [{ contentType: 'text/plain', name: 'ä "b".txt' }];
    const { status } = await upload(
      token,
      form({ type: 'message', text: 'look', attachments, from: { id: 'x' } }, [
        ['content', 'text/plain', 'ä "b".txt'],
        ['%PDF', 'application/pdf', '../../c.pdf'],
      ]),
    );
    expect(status).toBe(200);
    const [activity] = (await poll(token)).activities as never as [
      { attachments: { contentUrl: string; name: string }[] },
    ];
    expect(activity).toMatchObject({ text: 'look', from: { id: 'xia' } });
    expect(activity.attachments).toHaveLength(2);
    const file = await fetch(activity.attachments[0]!.contentUrl);
    expect(await file.text()).toBe('content');
    expect(file.headers.get('content-security-policy')).toBe("default-src 'none'; sandbox");
    expect(file.headers.get('x-content-type-options')).toBe('nosniff');
    expect(file.headers.get('content-disposition')).toMatch(/^attachment;/);
    expect(activity.attachments[1]!.name).toBe('c.pdf');
    expect(agent.told.at(-1)!.body).toMatchObject({
      attachments: [{ contentUrl: activity.attachments[0]!.contentUrl }, {}],
    });
  });

  test('one file may be the body itself', async () => {
    const token = await line.node.generate('xia', { conversation: 'new' });
    const name = { 'content-disposition': 'name="file"; filename="a.png"' };
    expect((await upload(token, new Blob(['png'], { type: 'image/png' }), name)).status).toBe(200);
    expect((await poll(token)).activities).toMatchObject([
      { type: 'message', attachments: [{ contentType: 'image/png', name: 'a.png' }] },
    ]);
  });

  test('pages and pictures that hold scripts, files that are too large and broken bodies are refused, and nothing is said', async () => {
    const token = await line.node.generate('yve', { conversation: 'new' });
    const message = { type: 'message', from: { id: 'x' } };
    const refused = [
      [await upload(token, form(message, [['<script>', 'text/html', 'a.html']])), 415],
      [await upload(token, form(message, [['<svg>', 'image/svg+xml', 'a.svg']])), 415],
      [await upload(token, form(message, [['x'.repeat(1024 * 1024 + 1), 'image/png', 'a.png']])), 413],
      [await upload(token, new Blob(['x'.repeat(4 * 1024 * 1024)], { type: 'image/png' })), 413],
      [await upload(token, new Blob(['no parts']), { 'content-type': 'multipart/form-data; boundary=x' }), 400],
      [await upload(token, form('no activity', [])), 400],
    ] as const;
    expect(refused.map(([{ status }]) => status)).toEqual(refused.map(([, status]) => status));
    expect((await poll(token)).activities).toEqual([]);
  });
});
