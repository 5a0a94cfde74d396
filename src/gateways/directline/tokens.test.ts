// Tokens, and pages of other origins, by plain requests.
import { decodeJwt, SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { KEY } from '../../../test/support/direct-line.ts';
import { useDoor } from '../../../test/support/door.ts';

const { line } = useDoor();

describe('tokens', () => {
  test('a token is a JWT with the claim user, and lives 30 minutes', async () => {
    const { token, expires_in, conversationId } = await line.node.generate('ada');
    expect(decodeJwt(token)).toMatchObject({ user: 'ada', conv: conversationId });
    expect(expires_in).toBeGreaterThanOrEqual(1800);
  });

  test('tokens of a person lead to one conversation, unless a new one is wanted', async () => {
    const [one, other, fresh] = [
      await line.node.generate('ada'),
      await line.node.generate('ada'),
      await line.node.generate('ada', { conversation: 'new' }),
    ];
    expect(other.conversationId).toBe(one.conversationId);
    expect(fresh.conversationId).not.toBe(one.conversationId);
  });

  test('without a person, with an unknown agent, with a key that may not, with no key: refused, each by its words', async () => {
    const { access } = line.node;
    const { secret } = await access.createKey({ name: 'hr', grants: [{ right: 'send', entity: 'recipient:hr-*' }] });
    const generate = (key: string | undefined, body: unknown) => line.node.call('POST', '/tokens/generate', key, body);
    const cases = [
      [await generate(KEY, {}), 400, 'BadArgument'],
      [await generate(KEY, { user: { id: 'no such id' } }), 400, 'BadArgument'],
      [await generate(KEY, { user: { id: 'ada' }, agent: 'nobody' }), 400, 'BadArgument'],
      [await generate(KEY, { user: { id: 'ada' }, trustedOrigins: ['nonsense'] }), 400, 'BadArgument'],
      [await generate(secret, { user: { id: 'ada' } }), 403, 'Forbidden'],
      [await generate(undefined, { user: { id: 'ada' } }), 401, 'Unauthorized'],
      [await generate('wrong-key-wrong-key', { user: { id: 'ada' } }), 401, 'Unauthorized'],
    ] as const;
    for (const [{ status, json }, expected, code] of cases) {
      expect({ status, code: json.error.code }).toEqual({ status: expected, code });
      expect(json.error.message).toMatch(/\.$/);
    }
    expect((await generate(secret, { user: { id: 'hr-1' } })).status).toBe(200);
  });

  test('a person who is signed in gets a token of their own, from our own pages only', async () => {
    const { access, url } = line.node;
    const link = await access.createLink({ role: 'recipient', recipientId: 'ada' });
    const { session } = await access.spendLink(link.token);
    const cookie = `carillon_session=${session}`;
    const generate = (origin: string, body?: unknown) =>
      line.node.call('POST', '/tokens/generate', undefined, body, { cookie, origin });
    const own = await generate(url);
    expect(own.status).toBe(200);
    expect(decodeJwt(own.json.token).user).toBe('ada');
    expect((await generate('https://evil.example')).json.error.code).toBe('OriginNotTrusted');
    expect((await generate(url, { user: { id: 'ben' } })).json.error.code).toBe('Forbidden');
  });

  test('a token is refreshed for the same page; a key, a forged and an expired one are not', async () => {
    const { token, conversationId } = await line.node.generate('ada');
    const refresh = (secret: string) => line.node.call('POST', '/tokens/refresh', secret);
    const { json } = await refresh(token);
    expect(json).toMatchObject({ conversationId, expires_in: 1800 });
    expect(decodeJwt(json.token).sid).toBe(decodeJwt(token).sid);
    expect((await refresh(KEY)).status).toBe(400);
    const stranger = await new SignJWT(decodeJwt(token))
      .setProtectedHeader({ alg: 'HS256' })
      .sign(Buffer.from('another key, as long as it has to be'));
    expect((await refresh(stranger)).json.error.code).toBe('TokenExpired');
    const [, body] = token.split('.');
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`;
    expect((await refresh(none)).status).toBe(403);
  });

  test('a token opens no other conversation', async () => {
    const [mine, theirs] = [await line.node.generate('ada'), await line.node.generate('ben')];
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/activities'],
      ['POST', '/activities'],
      ['POST', '/upload'],
    ] as const) {
      const { status } = await line.node.call(method, `/conversations/${theirs.conversationId}${path}`, mine.token);
      expect(status).toBe(403);
    }
  });
});

describe('pages of other origins', () => {
  const preflight = (origin: string) =>
    line.node.call('OPTIONS', '/conversations', undefined, undefined, {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type,x-ms-bot-agent,x-requested-with',
    });

  test('are told what the clients ask for, and may read Retry-After', async () => {
    const { status, headers } = await preflight('https://chat.example');
    expect(status).toBe(204);
    expect(headers.get('access-control-allow-origin')).toBe('https://chat.example');
    for (const name of ['authorization', 'content-type', 'x-ms-bot-agent', 'x-requested-with'])
      expect(headers.get('access-control-allow-headers')).toContain(name);
    const { token } = await line.node.generate('wes');
    const start = await line.node.call('POST', '/conversations', token, {}, { origin: 'https://chat.example' });
    expect(start.headers.get('access-control-allow-origin')).toBe('https://chat.example');
    expect(start.headers.get('access-control-expose-headers')).toContain('retry-after');
  });

  test('with a token that names its origins only those pages are let in', async () => {
    const { token, conversationId } = await line.node.generate('wes', { trustedOrigins: ['https://chat.example'] });
    const at = (origin: string) =>
      line.node.call('GET', `/conversations/${conversationId}/activities`, token, undefined, { origin });
    expect((await at('https://chat.example')).status).toBe(200);
    expect((await at(line.node.url)).status).toBe(200);
    expect(await at('https://evil.example')).toMatchObject({
      status: 403,
      json: { error: { code: 'OriginNotTrusted' } },
    });
  });

  test('a key from a page is refused, unless that page may call the API with one', async () => {
    const at = (origin: string) =>
      line.node.call('POST', '/conversations', KEY, { user: { id: 'wesley' } }, { origin });
    expect((await at('https://chat.example')).json.error.code).toBe('OriginNotTrusted');
    expect((await at('https://backend.example')).status).toBe(201);
  });
});
