// What the door says no to: in the form that the clients read, in words that say what to do, and nothing is changed by it.
import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { atom, connectSpace, entry, full, json, listen, useHubDoor } from '../../../test/support/hub-door.ts';
import { childText, parseXml } from '../../kit/xml.ts';

const { http, origin, ask } = useHubDoor();
const token = 'AB'.repeat(32);
const good = JSON.stringify({ installationId: 'kept', platform: 'apns', pushChannel: token, tags: ['one'] });
const sent = (format: string, more: Record<string, string> = {}) => ({
  ...json,
  'servicebusnotification-format': format,
  ...more,
});
const apple = sent('apple');
const installation = (more: object) => JSON.stringify({ ...JSON.parse(good), ...more });
const registration = (inside: string, kind = 'Apple') =>
  entry(`<${kind}RegistrationDescription xmlns="${connectSpace}">${inside}</${kind}RegistrationDescription>`);
const deep = `{"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}`;
const parts = (devices: string) =>
  `--b\r\nContent-Disposition: inline; name=notification\r\n\r\n{}\r\n--b\r\nContent-Disposition: inline; name=devices\r\n\r\n${devices}\r\n--b--`;
const batch = sent('apple', { 'content-type': 'multipart/mixed; boundary = "b"' });

let before: unknown;
async function state() {
  const tables = ['device', 'hub_send', 'hub_job', 'hub_file', 'hub'];
  const counts = await Promise.all(
    tables.map((name) => http.database.query(`select count(*)::int as count, '${name}' as name from ${name}`)),
  );
  return [counts, (await ask('GET', '/main/installations/kept')).text];
}
beforeAll(async () => {
  expect((await ask('PUT', '/main/installations/kept', { body: good, headers: json })).status).toBe(200);
  before = await state();
});
afterAll(async () => {
  expect(await state()).toEqual(before);
});

type Case = [
  method: string,
  path: string,
  headers: Record<string, string>,
  body: string | Buffer | undefined,
  status: number,
  words: RegExp,
];

const sends: Case[] = [
  ['POST', '/main/messages', json, '{}', 400, /ServiceBusNotification-Format is missing/],
  ['POST', '/main/messages', apple, '', 400, /no body/],
  ['POST', '/main/messages', apple, 'hello', 400, /not JSON/],
  ['POST', '/main/messages', apple, '["a"]', 400, /JSON object/],
  ['POST', '/main/messages', sent('fcmv1'), deep, 400, /nests deeper/],
  ['POST', '/main/messages', apple, JSON.stringify({ a: 'x'.repeat(65_536) }), 413, /at most 65536 bytes/],
  ['POST', '/main/messages', apple, JSON.stringify({ a: 'x'.repeat(3_000_000) }), 413, /too large/],
  ['POST', '/main/messages', sent('windows'), 'hello', 400, /X-WNS-Type is missing/],
  ['POST', '/main/messages', sent('template'), '', 400, /not valid JSON/],
  ['POST', '/main/messages', sent('template'), '[]', 400, /flat JSON object/],
  ['POST', '/main/messages', sent('template'), '{"a":{"b":1}}', 400, /"a" must be a text/],
  [
    'POST',
    '/main/messages',
    sent('template', { 'servicebusnotification-tags': '' }),
    '{}',
    400,
    /leave the header out/,
  ],
  ['POST', '/main/messages', sent('template', { 'servicebusnotification-tags': 'a b' }), '{}', 400, /character 3/],
  [
    'POST',
    '/main/messages',
    sent('template', { 'servicebusnotification-tags': 'a&&b&&c&&d&&e&&f&&g' }),
    '{}',
    400,
    /at most 6 tags/,
  ],
  [
    'POST',
    '/main/messages',
    sent('template', { 'servicebusnotification-tags': [...'abcdefghijklmnopqrstu'].join('||') }),
    '{}',
    400,
    /at most 20 tags/,
  ],
  [
    'POST',
    '/main/messages',
    sent('apple', { 'servicebusnotification-apns-expiry': 'soon' }),
    '{}',
    400,
    /Apns-Expiry is no time/,
  ],
  ['POST', '/main/messages?direct', apple, '{}', 400, /DeviceHandle is missing/],
  [
    'POST',
    '/main/messages?direct',
    sent('template', { 'servicebusnotification-devicehandle': 'a' }),
    '{}',
    400,
    /template cannot be sent/,
  ],
  [
    'POST',
    '/main/messages?direct',
    sent('browser', { 'servicebusnotification-devicehandle': 'https://a/b' }),
    '{}',
    400,
    /Auth and P256DH/,
  ],
  ['POST', '/main/messages/$batch?direct', apple, '{}', 400, /multipart/],
  ['POST', '/main/messages/$batch?direct', batch, 'nothing', 400, /two parts/],
  ['POST', '/main/messages/$batch?direct', batch, parts('no list'), 400, /not valid JSON/],
  ['POST', '/main/messages/$batch?direct', batch, parts('[1]'), 400, /list of texts/],
  ['POST', '/main/messages/$batch?direct', batch, parts('[]'), 400, /names no device/],
  [
    'POST',
    '/main/messages/$batch?direct',
    batch,
    parts(JSON.stringify(new Array(1_001).fill('AB'))),
    400,
    /at most 1000/,
  ],
  ['POST', '/main/messages/nothing', apple, '{}', 404, /nothing at this path/],
  ['POST', '/main/schedulednotifications', apple, '{}', 400, /ScheduleTime is missing/],
  [
    'POST',
    '/main/schedulednotifications',
    sent('apple', { 'servicebusnotification-scheduletime': 'tomorrow' }),
    '{}',
    400,
    /is no time/,
  ],
  [
    'POST',
    '/main/schedulednotifications',
    sent('apple', { 'servicebusnotification-scheduletime': '2020-01-01T00:00:00' }),
    '{}',
    400,
    /is over/,
  ],
  [
    'POST',
    '/main/schedulednotifications',
    sent('apple', { 'servicebusnotification-scheduletime': '2099-01-01T00:00:00' }),
    '{}',
    400,
    /7 days ahead/,
  ],
  ['DELETE', '/main/schedulednotifications/none', {}, undefined, 404, /no scheduled notification/],
  ['GET', '/main/messages/none', {}, undefined, 404, /no notification/],
];

const devices: Case[] = [
  [
    'PUT',
    '/main/installations/kept',
    json,
    Buffer.from(good.replace('one', '\u00ff'), 'latin1'),
    400,
    /not valid UTF-8/,
  ],
  ['PUT', '/main/installations/kept', json, '{', 400, /not valid JSON/],
  ['PUT', '/main/installations/kept', json, undefined, 400, /not valid JSON/],
  ['PUT', '/main/installations/kept', json, 'null', 400, /must be an object/],
  ['PUT', '/main/installations/other', json, good, 400, /differs/],
  [
    'PUT',
    '/main/installations/a%2Fb',
    json,
    installation({ installationId: 'a/b' }),
    400,
    /installationId "a\/b" is not/,
  ],
  ['PUT', '/main/installations/kept', json, installation({ userId: 'a b' }), 400, /userId "a b" is not/],
  ['PUT', '/main/installations/kept', json, installation({ tags: ['a b'] }), 400, /"a b" holds a character/],
  ['PUT', '/main/installations/kept', json, installation({ tags: ['t'.repeat(121)] }), 400, /at most 120/],
  [
    'PUT',
    '/main/installations/kept',
    json,
    installation({ tags: Array.from({ length: 61 }, (_, i) => `t${i}`) }),
    400,
    /at most 60 tags/,
  ],
  ['PUT', '/main/installations/kept', json, installation({ pushChannel: 'x'.repeat(5_000) }), 400, /at most 4096/],
  [
    'PUT',
    '/main/installations/kept',
    json,
    installation({ pushVariables: { a: {} } }),
    400,
    /pushVariables.a must be a text/,
  ],
  ['PUT', '/main/installations/kept', json, installation({ templates: { t: { body: deep } } }), 400, /nests deeper/],
  [
    'PUT',
    '/main/installations/kept',
    json,
    installation({ templates: { 'a\u0000': { body: '{}' } } }),
    400,
    /control characters/,
  ],
  ['PATCH', '/main/installations/kept', json, '', 400, /not valid JSON/],
  ['PATCH', '/main/installations/kept', json, '{}', 400, /array of operations/],
  ['PATCH', '/main/installations/kept', json, '[{"op":"copy","path":"/tags"}]', 400, /op must be/],
  [
    'PATCH',
    '/main/installations/kept',
    json,
    '[{"op":"remove","path":"/tags"},{"op":"add","path":"/no","value":"x"}]',
    400,
    /cannot be patched/,
  ],
  ['PATCH', '/main/installations/none', json, '[]', 404, /no such device/],
  ['POST', '/main/registrations', atom, '<entry', 400, /not well-formed/],
  ['POST', '/main/registrations', atom, '', 400, /ends too early/],
  ['POST', '/main/registrations', atom, '<entry/>', 400, /no kind of registration/],
  ['POST', '/main/registrations', atom, registration('', 'Pager'), 400, /no kind of registration "Pager"/],
  ['POST', '/main/registrations', atom, registration(''), 400, /no DeviceToken/],
  ['POST', '/main/registrations', atom, registration('<DeviceToken>xyz</DeviceToken>'), 400, /hexadecimal/],
  ['POST', '/main/registrations', atom, registration('<DeviceToken>ABC</DeviceToken>'), 400, /hexadecimal/],
  [
    'POST',
    '/main/registrations',
    atom,
    registration('<DeviceToken>AB</DeviceToken>', 'AppleTemplate'),
    400,
    /no BodyTemplate/,
  ],
  ['POST', '/main/registrations', atom, registration('<Endpoint>https://a/b</Endpoint>', 'Browser'), 400, /no P256DH/],
  [
    'POST',
    '/main/registrations',
    atom,
    registration('<DeviceToken>AB</DeviceToken><PushVariables>no</PushVariables>'),
    400,
    /must be an object/,
  ],
  [
    'POST',
    '/main/registrations',
    atom,
    registration(
      '<ChannelUri>https://a.notify.windows.com/</ChannelUri><BodyTemplate>plain</BodyTemplate>',
      'WindowsTemplate',
    ),
    400,
    /needs the header X-WNS-Type/,
  ],
  [
    'PUT',
    '/main/registrations/none',
    { ...atom, 'if-match': '"1"' },
    registration('<DeviceToken>AB</DeviceToken>'),
    404,
    /no such device/,
  ],
  [
    'PUT',
    '/main/registrations/none',
    { ...atom, 'if-match': 'x' },
    registration('<DeviceToken>AB</DeviceToken>'),
    412,
    /no etag of ours/,
  ],
  ['DELETE', '/main/registrations/none', { 'if-match': '"1"' }, undefined, 404, /no such device/],
  ['GET', '/main/registrations/kept', {}, undefined, 404, /does not exist/],
  ['GET', '/main/registrations?$top=0', {}, undefined, 400, /from 1 to 100/],
  ['GET', '/main/registrations?$top=ten', {}, undefined, 400, /from 1 to 100/],
  ['GET', '/main/registrations?continuationtoken=AA', {}, undefined, 400, /none of ours/],
  ['GET', '/main/registrations?continuationtoken=%25%25', {}, undefined, 400, /none of ours/],
  ['GET', '/main/registrations?$filter=x', {}, undefined, 400, /filter is not one/],
];

const job = (uri: string) =>
  entry(
    `<NotificationHubJob xmlns="${connectSpace}"><Type>ExportRegistrations</Type><OutputContainerUri><![CDATA[${uri}]]></OutputContainerUri></NotificationHubJob>`,
  );
const others: Case[] = [
  ['POST', '/main/jobs', atom, job('no address'), 400, /Files of jobs lie with the hub/],
  ['POST', '/main/jobs', atom, job('https://x/%zz/files'), 400, /Files of jobs lie with the hub/],
  ['POST', '/main/jobs', atom, job('https://blob.example/c?sig=1'), 400, /Files of jobs lie with the hub/],
  ['POST', '/main/jobs', atom, job('https://blob.example/main/files?sig=1'), 400, /Files of jobs lie with the hub/],
  ['POST', '/main/jobs', atom, job(`https://localhost/main/files/\0`), 400, /zero character/],
  ['GET', '/main/jobs/none', {}, undefined, 404, /no job/],
  ['GET', '/$Resources/NotificationHubs?$top=1.5', {}, undefined, 400, /whole numbers/],
  ['GET', '/$Resources/NotificationHubs?$skip=Infinity', {}, undefined, 400, /whole numbers/],
  ['PUT', '/another', atom, '<entry/>', 400, /NotificationHubDescription/],
  ['GET', '/main/nonsense', {}, undefined, 404, /nothing at this path/],
  ['PATCH', '/main', {}, undefined, 405, /method/],
  ['GET', '/main/installations/%00', {}, undefined, 400, /zero character/],
  ['GET', '/main/tags/%00/registrations', {}, undefined, 400, /zero character/],
  [
    'GET',
    "/main/registrations?$filter=DeviceToken eq '%00'".replaceAll(' ', '%20'),
    {},
    undefined,
    400,
    /zero character/,
  ],
  ['GET', '/%00/installations/a', {}, undefined, 400, /zero character/],
];

test.each([...sends, ...devices, ...others])(
  '%s %s %o is refused',
  async (method, path, headers, body, status, words) => {
    const answer = await ask(method, path, { headers, ...(body === undefined ? {} : { body }) });
    expect([answer.status, answer.headers['content-type']]).toEqual([status, 'application/xml; charset=utf-8']);
    const error = parseXml(answer.text);
    expect([error.name, ...error.children.map(({ name }) => name)]).toEqual(['Error', 'Code', 'Detail']);
    expect(childText(error, 'Code')).toBe(String(status));
    expect(childText(error, 'Detail')).toMatch(words);
    expect(childText(error, 'Detail')).toMatch(/\.TrackingId:[\w-]{36},TimeStamp:/);
  },
);

test('tokens that are expired, for elsewhere, or none at all', async () => {
  const signed = (resource: string, seconds: number) => {
    const [sr, se] = [encodeURIComponent(resource), Math.floor(Date.now() / 1000) + seconds];
    const sig = encodeURIComponent(createHmac('sha256', full.secret).update(`${sr}\n${se}`).digest('base64'));
    return `SharedAccessSignature sr=${sr}&sig=${sig}&se=${se}&skn=${full.name}`;
  };
  for (const [authorization, words] of [
    [signed(`${origin()}/`, -400), 'ExpiredToken'],
    [signed(`${origin()}/other`, 400), 'InvalidAudience'],
    ['Bearer x', 'MissingToken'],
    ['', 'MissingToken'],
  ] as const) {
    const answer = await ask('DELETE', '/main/installations/kept', { headers: { authorization } });
    expect([answer.status, childText(parseXml(answer.text), 'Detail')]).toEqual([401, expect.stringContaining(words)]);
  }
});

test('the Listen right is enough for one’s own address, not for a list or a send', async () => {
  const own = `/main/registrations?$filter=${encodeURIComponent(`DeviceToken eq '${token}'`)}`;
  expect((await ask('GET', own, { rule: listen })).status).toBe(200);
  expect((await ask('GET', '/main/registrations', { rule: listen })).status).toBe(401);
  expect((await ask('GET', '/main/tags/one/registrations', { rule: listen })).status).toBe(401);
  expect((await ask('GET', '/main/messages/none', { rule: listen })).status).toBe(401);
  expect((await ask('GET', '/main/feedbackcontainer', { rule: listen })).status).toBe(401);
  expect((await ask('POST', '/main/schedulednotifications', { rule: listen, headers: apple, body: '{}' })).status).toBe(
    403,
  );
  expect((await ask('DELETE', '/main/schedulednotifications/none', { rule: listen })).status).toBe(403);
});
