import { afterEach, describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { Refusal } from '../kit/refusal.ts';
import { Access } from './access.ts';
import { authorize, type Grant, type Identity, isAllowed, parseGrant, recipientIdentity } from './rights.ts';

const db = useDatabase();
const admin = { name: 'admin', secret: 'open sesame', grants: [{ right: 'manage', entity: '*' }] as Grant[] };
const all: Grant[] = [{ right: 'send', entity: 'topic:hr' }];
let clock = Date.now();
const now = () => new Date(clock);
const start = (presets = [admin]) => Access.start({ database: db.database, presets, now });

afterEach(async () => {
  await db.database.query('truncate access_key, sign_in_link, web_session');
});

describe('keys', () => {
  it('a preset key opens, and ends when the settings no longer hold it', async () => {
    expect(await (await start()).byKey('open sesame')).toMatchObject({ kind: 'key', name: 'admin' });
    const changed = await start([{ ...admin, secret: 'new' }]);
    expect(await changed.byKey('open sesame')).toBeUndefined();
    expect(await changed.byKey('new')).toBeDefined();
    expect(await (await start([])).byKey('new')).toBeUndefined();
  });

  it('keeps no secret', async () => {
    const access = await start();
    const { secret } = await access.createKey({ name: 'hr backend', grants: all });
    const [{ text }] = (await db.database.query<{ text: string }>(
      'select string_agg(k::text, $1) as text from access_key k',
      ['\n'],
    )) as [{ text: string }];
    expect(text).not.toContain(secret);
    expect(text).not.toContain('open sesame');
  });

  it('rotation keeps the older secret until the next one', async () => {
    const access = await start();
    const first = await access.createKey({ name: 'k', grants: all });
    const second = await access.rotateKey(first.id);
    expect(await access.byKey(first.secret)).toEqual(await access.byKey(second.secret));
    const third = await access.rotateKey(first.id);
    expect(await access.byKey(first.secret)).toBeUndefined();
    expect(await access.byKey(second.secret)).toBeDefined();
    await access.endSecondary(first.id);
    expect(await access.byKey(second.secret)).toBeUndefined();
    expect(await access.byKey(third.secret)).toBeDefined();
  });

  it('a revoked key is refused at once here, and within a second by another node', async () => {
    const [here, there] = [await start(), await start()];
    const { id, secret } = await here.createKey({ name: 'k', grants: all });
    clock += 1000;
    expect(await there.byKey(secret)).toBeDefined();
    await here.revokeKey(id);
    expect(await here.byKey(secret)).toBeUndefined();
    clock += 1000;
    expect(await there.byKey(secret)).toBeUndefined();
  });

  it('a check asks the database nothing while the ring is fresh', async () => {
    const access = await start();
    const { secret } = await access.createKey({ name: 'k', grants: all });
    expect(access.byKey(secret)).not.toBeInstanceOf(Promise);
  });

  it('an expired key is refused', async () => {
    const access = await start();
    const { secret } = await access.createKey({ name: 'k', grants: all, expiresAt: new Date(clock + 5000) });
    expect(await access.byKey(secret)).toBeDefined();
    clock += 5001;
    expect(await access.byKey(secret)).toBeUndefined();
  });

  it('a preset key cannot be changed through the API', async () => {
    const access = await start();
    await expect(access.revokeKey('key_preset_admin')).rejects.toMatchObject({ code: 'conflict' });
    await expect(access.rotateKey('key_none')).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('sign-in', () => {
  it('a link works once, and one of two at the same time wins', async () => {
    const access = await start();
    const { token } = await access.createLink({ role: 'recipient', recipientId: 'ada' });
    const results = await Promise.allSettled([access.spendLink(token), access.spendLink(token)]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const { session } = (
      results.find(({ status }) => status === 'fulfilled') as PromiseFulfilledResult<{ session: string }>
    ).value;
    expect(await access.bySession(session)).toMatchObject({ kind: 'recipient', recipientId: 'ada' });
  });

  it('a link of more than 15 minutes is refused', async () => {
    const access = await start();
    const { token } = await access.createLink({ role: 'admin' });
    clock += 15 * 60_000 + 1;
    await expect(access.spendLink(token)).rejects.toMatchObject({ code: 'link_spent' });
  });

  it('signing out ends the session, and so does time', async () => {
    const access = await start();
    const open = async () => (await access.spendLink((await access.createLink({ role: 'admin' })).token)).session;
    const [one, two] = [await open(), await open()];
    await access.endSession(one);
    expect(await access.bySession(one)).toBeUndefined();
    expect(await access.bySession(two)).toMatchObject({ kind: 'admin' });
    clock += 15 * 24 * 60 * 60_000;
    expect(await access.bySession(two)).toBeUndefined();
    expect(await access.bySession("' or 1=1")).toBeUndefined();
  });
});

describe('rights', () => {
  const key = (...grants: string[]): Identity => ({
    kind: 'key',
    keyId: 'k',
    name: 'k',
    grants: grants.map(parseGrant),
  });

  it.each([
    ['send topic:hr', 'send', 'topic:hr', true],
    ['send topic:hr', 'listen', 'topic:hr', false],
    ['send topic:hr', 'send', 'topic:hr2', false],
    ['send topic:hr.*', 'send', 'topic:hr.joined', true],
    ['send topic:HR', 'send', 'topic:hr', true],
    ['send recipient:Ada', 'send', 'recipient:ada', false],
    ['listen topic:*', 'listen', 'topic:x', true],
    ['listen topic:*', 'listen', 'recipient:x', false],
    ['manage *', 'send', 'recipient:x', true],
    ['manage topic:hr', 'listen', 'topic:hr', true],
  ] as const)('%s: may %s %s? %s', (grant, right, entity, allowed) => {
    expect(isAllowed(key(grant), right, entity)).toBe(allowed);
  });

  it('a recipient reaches only what is theirs, whatever their id looks like', () => {
    expect(isAllowed(recipientIdentity('ada'), 'listen', 'recipient:ada')).toBe(true);
    expect(isAllowed(recipientIdentity('*'), 'listen', 'recipient:ada')).toBe(false);
    expect(isAllowed(recipientIdentity('ada'), 'manage', 'recipient:ada')).toBe(false);
    expect(() => authorize(recipientIdentity('ada'), 'send', 'topic:hr')).toThrow(Refusal);
  });

  it.each(['', 'read topic:hr', 'send', 'send hr', 'send topic', 'manage **'])('"%s" is no grant', (text) => {
    expect(() => parseGrant(text)).toThrow(Refusal);
  });
});
