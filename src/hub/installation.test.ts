import { expect, test } from 'vitest';
import { type Installation, parseInstallation, patchInstallation, tagsOf } from './installation.ts';
import { matchesTags, parseTagExpression } from './tags.ts';

const phone = {
  installationId: 'phone-1',
  userId: 'ada',
  platform: 'APNS',
  pushChannel: 'ab'.repeat(32),
  tags: ['vip', 'VIP', 'berlin'],
  templates: { short: { body: '{"aps":{"alert":"$(message)"}}', headers: { 'apns-priority': '5' }, tags: ['brief'] } },
  pushVariables: { name: 'Ada', n: 3 },
  expirationTime: null,
  lastUpdate: 'ignored',
};

const patched = (...operations: readonly unknown[]): Installation =>
  patchInstallation(parseInstallation(phone), operations);

test('an installation is read, its nulls and read-only members passed over', () => {
  expect(parseInstallation(phone, 'phone-1')).toEqual({
    installationId: 'phone-1',
    userId: 'ada',
    platform: 'apns',
    pushChannel: 'ab'.repeat(32),
    tags: ['vip', 'berlin'],
    templates: {
      short: { body: '{"aps":{"alert":"$(message)"}}', headers: { 'apns-priority': '5' }, tags: ['brief'] },
    },
    pushVariables: { name: 'Ada', n: '3' },
    secondaryTiles: {},
  });
  expect(parseInstallation({ ...phone, expirationTime: '9999-12-31T23:59:59.9999999Z' })).not.toHaveProperty(
    'expirationTime',
  );
});

test('whoever can be a recipient can have a device, however long the id', () => {
  const userId = 'a'.repeat(128);
  const installation = parseInstallation({ ...phone, userId });
  expect(matchesTags(parseTagExpression(`$UserId:{${userId}}`), tagsOf(installation))).toBe(true);
});

test('nulls in maps count as absent, and what is no text is no value', () => {
  expect(parseInstallation({ ...phone, templates: { short: null }, pushVariables: { a: null } })).toMatchObject({
    templates: {},
    pushVariables: {},
  });
  expect(() => parseInstallation({ ...phone, pushVariables: { a: ['b'] } })).toThrow('pushVariables.a must be a text');
});

test.each([
  ['<toast>$(m)</toast>', {}, true],
  ['<!-- one --> <tile/>', {}, true],
  ['plain $(m)', { 'x-wns-type': 'wns/raw' }, true],
  ['{"a":"$(m)"}', { 'X-WNS-Type': 'wns/raw' }, true],
  ['<other>$(m)</other>', {}, false],
])('a template of Windows says what it is, or its root does: %s %o', (body, headers, good) => {
  const parse = () => parseInstallation({ ...phone, platform: 'wns', templates: { t: { body, headers } } });
  if (good) expect(parse().templates.t?.body).toBe(body);
  else expect(parse).toThrow('needs the header X-WNS-Type');
});

test('an address that cannot be kept is refused', () => {
  expect(() => parseInstallation({ ...phone, pushChannel: 'ab\u0000' })).toThrow(/zero character/);
});

test('a browser’s channel comes as an object or as its JSON', () => {
  const channel = { endpoint: 'https://push.example/1', p256dh: 'BA', auth: 'AA' };
  const browser = { ...phone, platform: 'browser', templates: {} };
  for (const pushChannel of [channel, JSON.stringify(channel)])
    expect(parseInstallation({ ...browser, pushChannel }).pushChannel).toEqual(channel);
});

test.each([
  [{ installationId: 'other' }, /differs/],
  [{ platform: 'pager' }, /no platform/],
  [{ pushChannel: '' }, /pushChannel/],
  [{ platform: 'browser' }, /browser/],
  [{ tags: ['a b'] }, /may not have/],
  [{ tags: 'a' }, /must be a list/],
  [{ templates: { x: { body: '{' } } }, /not JSON/],
  [{ templates: { x: { body: '{"a":"$("}' } } }, /not valid/],
  [{ templates: { x: { body: '{}', headers: { h: '.(x)' } } } }, /not valid/],
  [{ templates: { ['n'.repeat(201)]: { body: '{}' } } }, /200/],
  [{ expirationTime: 'soon' }, /no time/],
])('%o is refused', (change, words) => {
  expect(() => parseInstallation({ ...phone, ...change }, 'phone-1')).toThrow(words);
});

test('a patch does what the clients’ patches do', () => {
  expect(patched({ op: 'add', path: '/tags', value: 'new' }).tags).toEqual(['vip', 'berlin', 'new']);
  expect(patched({ op: 'remove', path: '/tags/Berlin' }).tags).toEqual(['vip']);
  expect(patched({ op: 'replace', path: '/tags', value: '["x","y"]' }).tags).toEqual(['x', 'y']);
  expect(patched({ op: 'remove', path: '/tags' }).tags).toEqual([]);
  expect(patched({ op: 'replace', path: '/pushChannel', value: 'cd' }).pushChannel).toBe('cd');
  expect(patched({ op: 'remove', path: '/userId' })).not.toHaveProperty('userId');
  expect(patched({ op: 'add', path: '/pushVariables/city', value: 'Berlin' }).pushVariables).toEqual({
    name: 'Ada',
    n: '3',
    city: 'Berlin',
  });
  const asText = { op: 'add', path: '/templates/long', value: '{"body":"{\\"a\\":\\"$(x)\\"}","tags":["t"]}' };
  expect(patched(asText).templates.long).toEqual({ body: '{"a":"$(x)"}', headers: {}, tags: ['t'] });
  expect(patched(asText, { op: 'replace', path: '/templates/long/body', value: '{}' }).templates.long?.body).toBe('{}');
  expect(
    patched({ op: 'replace', path: '/templates/short/headers/apns-priority', value: '10' }).templates.short?.headers,
  ).toEqual({ 'apns-priority': '10' });
  expect(patched({ op: 'add', path: '/templates/short/tags', value: 'also' }).templates.short?.tags).toEqual([
    'brief',
    'also',
  ]);
  expect(patched({ op: 'add', path: '/expirationTime', value: '2030-01-02T03:04:05Z' }).expirationTime).toEqual(
    new Date('2030-01-02T03:04:05Z'),
  );
});

test.each([
  [[{ op: 'add', path: '/installationId', value: 'x' }], /cannot be patched/],
  [[{ op: 'move', path: '/tags' }], /op must be/],
  [[{ op: 'add', path: 'tags', value: 'x' }], /begin with/],
  [[{ op: 'add', path: '/templates/none/body', value: 'x' }], /nothing at/],
  [[{ op: 'add', path: '/pushVariables/__proto__/x', value: 'x' }], /not valid/],
  [
    [
      { op: 'add', path: '/tags', value: 'good' },
      { op: 'add', path: '/tags', value: 'b d' },
    ],
    /may not have/,
  ],
  [{}, /array/],
])('the patch %o is refused', (operations, words) => {
  expect(() => patchInstallation(parseInstallation(phone), operations)).toThrow(words);
});

test('a device carries its own id and its user as tags, and a template its own besides', () => {
  const installation = parseInstallation(phone);
  const means = (expression: string, template?: string): boolean =>
    matchesTags(parseTagExpression(expression), tagsOf(installation, template));
  expect(means('$UserId:{ada} && vip')).toBe(true);
  expect(means('$InstallationId:{phone-1} && brief')).toBe(false);
  expect(means('$InstallationId:{phone-1} && brief', 'short')).toBe(true);
});
