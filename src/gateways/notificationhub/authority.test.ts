// Tokens as the three SDKs write them: each encodes the resource in its own way, and signs what it wrote.
import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { defaultRules, type HubRight } from '../../hub/rules.ts';
import { authorizeSas } from './authority.ts';

const fullKey = 's3cretKey=and+some/more';
const listenKey = 'the key that apps carry';
const defaults = defaultRules({ fullKey, listenKey });
const now = new Date('2026-11-22T10:00:00Z');
const expiry = now.getTime() / 1000 + 1200;
const full = 'DefaultFullSharedAccessSignature';

function token(
  sr: string,
  { key = fullKey, name = full, se = expiry, encode = (text: string) => encodeURIComponent(text) } = {},
): string {
  const sig = createHmac('sha256', key).update(`${sr}\n${se}`).digest('base64');
  return `SharedAccessSignature sr=${sr}&sig=${encode(sig)}&se=${se}&skn=${name}`;
}

const lowerEncoded = (text: string) => encodeURIComponent(text).replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase());
const javaEncoded = (text: string) => encodeURIComponent(text).toLowerCase();
const ask = (header: string, path: string, right: HubRight = 'Send', own = [] as typeof defaults) =>
  authorizeSas({ own, defaults }, header, path, right, now);

test.each([
  ['JavaScript: the namespace', token(encodeURIComponent('https://127.0.0.1:8443/')), '/main/messages/'],
  [
    '.NET: http, no port, lower-case escapes, a slash at the end',
    token(lowerEncoded('http://127.0.0.1/main/messages/'), { encode: lowerEncoded }),
    '/main/messages',
  ],
  [
    'Java: the whole address with its query, in lower case',
    token(javaEncoded('https://127.0.0.1:8443/main/registrationIDs?api-version=2020-06')),
    '/main/registrationIDs',
  ],
  [
    'Java: a tag with braces',
    token(javaEncoded('https://127.0.0.1:8443/main/tags/$UserId:%7bada%7d/registrations?api-version=2020-06')),
    '/main/tags/$UserId:{ada}/registrations',
  ],
])('%s', (_name, header, path) => {
  expect(() => ask(header, path, 'Manage')).not.toThrow();
});

test('the fields of a token may come in any order', () => {
  const [sr, sig, se, skn] = token(encodeURIComponent('https://h/')).slice('SharedAccessSignature '.length).split('&');
  expect(() => ask(`SharedAccessSignature ${[skn, se, sig, sr].join('&')}`, '/main/messages')).not.toThrow();
});

test.each([
  ['another hub', token(encodeURIComponent('http://h/other/')), 'InvalidAudience'],
  ['half a segment', token(encodeURIComponent('http://h/ma')), 'InvalidAudience'],
  ['no address', token('nonsense'), 'InvalidAudience'],
  ['a wrong key', token(encodeURIComponent('https://h/'), { key: 'another' }), 'InvalidSignature'],
  ['an unknown rule', token(encodeURIComponent('https://h/'), { name: 'None' }), 'InvalidSignature'],
  ['a signature for another text', token(encodeURIComponent('https://h/')).replace('%2F&', '%2f&'), 'InvalidSignature'],
  ['too old', token(encodeURIComponent('https://h/'), { se: now.getTime() / 1000 - 301 }), 'ExpiredToken'],
  ['no token at all', 'Bearer x', 'MissingToken'],
])('%s is refused', (_name, header, words) => {
  expect(() => ask(header, '/main/messages')).toThrow(words);
});

test('a clock that goes wrong by a few minutes is forgiven', () => {
  const late = token(encodeURIComponent('https://h/'), { se: now.getTime() / 1000 - 240 });
  expect(() => ask(late, '/main/messages')).not.toThrow();
});

test('a missing right is 403, for managing 401 as the vendor has it', () => {
  const listener = token(encodeURIComponent('https://h/'), {
    key: listenKey,
    name: 'DefaultListenSharedAccessSignature',
  });
  expect(() => ask(listener, '/main/installations/x', 'Listen')).not.toThrow();
  expect(() => ask(listener, '/main/messages', 'Send')).toThrow(expect.objectContaining({ status: 403 }));
  expect(() => ask(listener, '/main/jobs', 'Manage')).toThrow(expect.objectContaining({ status: 401 }));
});

test("a hub's own rule wins, with its secondary key too", () => {
  const own = [{ name: full, primaryKey: 'a new primary key', secondaryKey: fullKey, rights: ['Send'] as const }];
  expect(() => ask(token(encodeURIComponent('https://h/')), '/main/messages', 'Send', own)).not.toThrow();
  const fresh = token(encodeURIComponent('https://h/'), { key: 'a new primary key' });
  expect(() => ask(fresh, '/main/messages', 'Send', own)).not.toThrow();
  expect(() => ask(fresh, '/main/jobs', 'Manage', own)).toThrow('Manage claim');
});
