// The shapes that the clients of .NET and Java write, whose programs are not here: their paths, headers, XML and tokens, over
// HTTP/2 as Java speaks it. What JavaScript's client offers is in test/interop.
import { expect, test } from 'vitest';
import { eventually } from '../../../test/support/eventually.ts';
import {
  atom,
  connectSpace,
  entry,
  full,
  json,
  listen,
  namesIn,
  registrationOf,
  useHubDoor,
} from '../../../test/support/hub-door.ts';
import { childText, parseXml } from '../../kit/xml.ts';

const { ask } = useHubDoor();

test('.NET names the base type of a registration and tells the real one in an attribute; answers name the real one', async () => {
  const body = entry(
    `<RegistrationDescription xmlns="${connectSpace}" xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="AppleTemplateRegistrationDescription"><Tags>b,a</Tags><DeviceToken>ABCD12</DeviceToken><BodyTemplate><![CDATA[{"aps":{"alert":"$(m)"}}]]></BodyTemplate><Expiry>$(end)</Expiry><TemplateName>t</TemplateName><Priority>5</Priority></RegistrationDescription>`,
  );
  const made = await ask('POST', '/main/registrations?api-version=2020-06', { body, headers: atom });
  expect(made.status).toBe(200);
  expect(made.headers.etag).toBe('W/"1"');
  const description = registrationOf(made.text);
  expect(description.name).toBe('AppleTemplateRegistrationDescription');
  expect(namesIn(made.text)).toEqual([
    'ETag',
    'ExpirationTime',
    'RegistrationId',
    'Tags',
    'DeviceToken',
    'BodyTemplate',
    'Expiry',
    'TemplateName',
    'Priority',
  ]);
  expect(childText(description, 'ExpirationTime')).toBe('9999-12-31T23:59:59.9999999Z');
  const id = childText(description, 'RegistrationId')!;
  const path = `/main/registrations/${id}`;
  const changed = await ask('PUT', path, { body, headers: { ...atom, 'if-match': 'W/"1"' } });
  expect([changed.status, changed.headers.etag]).toEqual([200, 'W/"2"']);
  expect((await ask('PUT', path, { body, headers: { ...atom, 'if-match': '"1"' } })).status).toBe(412);
  expect((await ask('PUT', `${path}9`, { body, headers: { ...atom, 'if-match': '*' } })).status).toBe(404);
  expect((await ask('DELETE', path, { headers: { 'if-match': '*' } })).status).toBe(200);
  expect((await ask('GET', path)).status).toBe(404);
});

test('each kind of registration comes back as it was, with its members in the order that .NET reads', async () => {
  const kinds: [string, Record<string, string>][] = [
    ['Apple', { DeviceToken: 'ABCDEF' }],
    ['FcmV1', { FcmV1RegistrationId: 'f1' }],
    ['Gcm', { GcmRegistrationId: 'g1' }],
    ['Windows', { ChannelUri: 'https://db5.notify.windows.com/?token=a%2bb', SecondaryTileName: 'tile' }],
    ['Mpns', { ChannelUri: 'http://mpns.example/1', SecondaryTileName: 'tile' }],
    ['Browser', { Endpoint: 'https://push.example/1', P256DH: 'BK', Auth: 'a' }],
    ['Adm', { AdmRegistrationId: 'adm1' }],
    ['Baidu', { BaiduUserId: 'u1', BaiduChannelId: 'c-1' }],
    ['Xiaomi', { XiaomiRegistrationId: 'x1' }],
  ];
  for (const [kind, members] of kinds) {
    const inside = Object.entries(members).map(([name, value]) => `<${name}>${value}</${name}>`);
    const template = kind === 'Windows' || kind === 'Mpns' ? '<toast>$(m)</toast>' : '{"a":"$(m)"}';
    for (const suffix of ['', 'Template']) {
      const more = suffix === '' ? '' : `<BodyTemplate><![CDATA[${template}]]></BodyTemplate>`;
      const name = `${kind}${suffix}RegistrationDescription`;
      const body = entry(`<${name} xmlns="${connectSpace}">${inside.join('')}${more}</${name}>`);
      const made = await ask('POST', '/main/registrations', { body, headers: atom });
      expect([name, made.status]).toEqual([name, 200]);
      const description = registrationOf(made.text);
      expect(description.name).toBe(name);
      for (const [member, value] of Object.entries(members)) expect(childText(description, member)).toBe(value);
      expect(namesIn(made.text)).toEqual([
        'ETag',
        'ExpirationTime',
        'RegistrationId',
        ...Object.keys(members),
        ...(suffix === '' ? [] : ['BodyTemplate']),
      ]);
    }
  }
  // .NET asks for any address as a ChannelUri, JavaScript's client forgets a quote for Baidu.
  const found = async (filter: string) =>
    (await ask('GET', `/main/registrations?$filter=${encodeURIComponent(filter)}`)).text.match(/<entry/g)?.length;
  expect(await found("ChannelUri eq 'f1'")).toBe(2);
  expect(await found("DeviceToken eq 'ABCDEF'")).toBe(2);
  expect(await found(`ChannelUri eq '${encodeURIComponent('https://db5.notify.windows.com/?token=a%2bb')}'`)).toBe(2);
  expect(await found("BaiduChannelId eq c-1' and BaiduUserId eq 'u1'")).toBe(2);
  expect(await found("Endpoint eq 'https%3A%2F%2Fpush.example%2F1' and P256DH eq 'BK' and Auth eq 'a'")).toBe(2);
  expect((await ask('GET', '/main/registrations?$filter=nonsense')).status).toBe(400);
});

test('lists go on by a token that survives being encoded twice, whatever the parameter is called', async () => {
  const seen: string[] = [];
  let token = '';
  do {
    const page = await ask('GET', `/main/registrations?$top=4${token && `&ContinuationToken=${token}`}`);
    expect(page.headers['content-type']).toContain('type=feed');
    seen.push(...[...page.text.matchAll(/<RegistrationId>([^<]+)/g)].map(([, id]) => id!));
    token = page.headers['x-ms-continuationtoken'] ?? '';
    expect(token).toMatch(/^[\w-]*$/);
  } while (token !== '');
  expect(seen.length).toBeGreaterThanOrEqual(18);
  expect(new Set(seen).size).toBe(seen.length);
  expect((await ask('GET', '/main/registrations?$top=0')).status).toBe(400);
});

test('installations in the way of .NET: nulls, a browser as a JSON text, templates as texts in patches', async () => {
  const channel = JSON.stringify({ endpoint: 'https://push.example/n', p256dh: 'BK', auth: 'a' });
  const body = JSON.stringify({
    installationId: 'net',
    platform: 'browser',
    pushChannel: channel,
    expirationTime: null,
    userId: null,
    tags: null,
  });
  const marked = `\ufeff${body}`;
  expect(await ask('PUT', '/main/Installations/net', { body: marked, headers: json })).toMatchObject({
    status: 200,
    text: '',
  });
  const patch = JSON.stringify([
    { op: 'add', path: '/templates/a', value: JSON.stringify({ body: '{"title":"$(t)"}', tags: ['x'] }) },
    { op: 'add', path: '/userId', value: 'ada' },
    { op: 'add', path: '/tags', value: 'one' },
  ]);
  expect((await ask('PATCH', '/main/installations/net', { body: patch, headers: json })).status).toBe(200);
  const read = JSON.parse((await ask('GET', '/main/installations/net/')).text);
  expect(read).toMatchObject({
    pushChannel: { endpoint: 'https://push.example/n' },
    userId: 'ada',
    tags: ['one'],
    templates: { a: { tags: ['x'] } },
    pushChannelExpired: false,
    expirationTime: '9999-12-31T23:59:59.9999999Z',
  });
  const bad = JSON.stringify([
    { op: 'remove', path: '/tags/one' },
    { op: 'replace', path: '/platform', value: 'apns' },
  ]);
  expect((await ask('PATCH', '/main/installations/net', { body: bad, headers: json })).status).toBe(400);
  expect(JSON.parse((await ask('GET', '/main/installations/net')).text).tags).toEqual(['one']);
  expect((await ask('DELETE', '/main/installations/net')).status).toBe(204);
  expect((await ask('DELETE', '/main/installations/net')).status).toBe(204);
});

test('headers of every answer, and errors in the form that the clients read', async () => {
  const tracked = await ask('GET', '/main/installations/none', {
    headers: { trackingid: '11111111-2222-3333-4444-555555555555' },
  });
  expect(tracked.status).toBe(404);
  expect(tracked.headers.trackingid).toBe('11111111-2222-3333-4444-555555555555');
  expect(tracked.headers['x-ms-correlation-request-id']).toBe(tracked.headers.trackingid);
  expect(tracked.headers['strict-transport-security']).toBe('max-age=2592000');
  expect(tracked.headers['content-type']).toBe('application/xml; charset=utf-8');
  expect(tracked.text).toMatch(
    /^<Error><Code>404<\/Code><Detail>Installation not found\.TrackingId:11111111-[^,]+,TimeStamp:[^<]+<\/Detail><\/Error>$/,
  );
  expect((await ask('GET', '/main/installations/none', { rule: { ...full, secret: 'a wrong key' } })).status).toBe(401);
  expect((await ask('POST', '/main/messages', { rule: listen, body: '{}' })).status).toBe(403);
  expect((await ask('GET', '/main/jobs', { rule: listen })).status).toBe(401);
  expect((await ask('GET', '/none/installations/x')).status).toBe(404);
  expect((await ask('PUT', '/main/messages')).status).toBe(405);
  expect((await ask('POST', '/main/registrations', { body: '<entry', headers: atom })).status).toBe(400);
});

test('what one did not say of an installation is not said of it', async () => {
  const given = {
    installationId: 'bare',
    platform: 'apns',
    pushChannel: 'AB',
    templates: { t: { body: '{}' } },
    secondaryTiles: { s: { pushChannel: 'CD' } },
  };
  expect(
    (await ask('PUT', '/main/installations/bare', { body: JSON.stringify({ ...given, tags: [] }), headers: json }))
      .status,
  ).toBe(200);
  const { pushChannelExpired, expirationTime, lastUpdate, ...read } = JSON.parse(
    (await ask('GET', '/main/installations/bare')).text,
  );
  expect(read).toEqual(given);
  expect([pushChannelExpired, expirationTime, typeof lastUpdate]).toEqual([
    false,
    '9999-12-31T23:59:59.9999999Z',
    'string',
  ]);
});

test('.NET names hubs and kinds of things in any case, and escapes what it likes', async () => {
  for (const path of [
    '/$Resources/NotificationHubs?$skip=0&%24top=10',
    '/%24resources/notificationhubs/',
    '/MAIN/Registrations?%24top=1',
    '/main/Tags/%24UserId%3A%7Bada%7D/Registrations/',
  ])
    expect([path, (await ask('GET', path)).status]).toEqual([path, 200]);
});

test('sends in the way of .NET and Java: bare flags, their own boundary, a time without a zone', async () => {
  const apple = { 'servicebusnotification-format': 'Apple', 'content-type': 'application/json' };
  const direct = await ask('POST', '/main/messages?direct&api-version=2020-06', {
    body: '{"aps":{}}',
    headers: { ...apple, 'servicebusnotification-devicehandle': 'ABCD' },
  });
  expect(direct.status).toBe(201);
  expect(direct.headers.location).toMatch(/^https:\/\/localhost:\d+\/main\/messages\/nh_[^/?]+\?/);
  const boundary = 'nh-batch-multipart-boundary';
  const batch = [
    `--${boundary}`,
    'Content-Type: application/json',
    'Content-Disposition: inline; name=notification',
    '',
    '{"aps":{}}',
    `--${boundary}`,
    'Content-Type: application/json',
    'Content-Disposition: inline; name=devices',
    '',
    '["A1","A2"]',
    `--${boundary}--`,
    '',
  ].join('\r\n');
  const headers = { ...apple, 'content-type': `multipart/mixed; boundary="${boundary}"` };
  expect((await ask('POST', '/main/messages/$batch?direct', { body: batch, headers })).status).toBe(201);
  const later = new Date(Date.now() + 3_600_000).toISOString().slice(0, 19);
  const timed = { ...apple, 'servicebusnotification-scheduletime': later };
  const scheduled = await ask('POST', '/main/schedulednotifications', { body: '{"aps":{}}', headers: timed });
  expect(scheduled.status).toBe(201);
  const id = /schedulednotifications\/([^?]+)/.exec(scheduled.headers.location!)![1];
  expect((await ask('GET', `/main/messages/${id}`)).text).toContain('<State>Scheduled</State>');
  expect((await ask('DELETE', `/main/scheduledNotifications/${id}`)).status).toBe(200);
  expect((await ask('GET', `/main/messages/${id}`)).text).toContain('<State>Canceled</State>');
  const tooLate = { ...apple, 'servicebusnotification-scheduletime': '2099-01-01T00:00:00' };
  expect((await ask('POST', '/main/schedulednotifications', { body: '{"aps":{}}', headers: tooLate })).status).toBe(
    400,
  );
});

test.each(['gcm', 'fcm', 'windowsphone', 'adm', 'baidu', 'xiaomi', 'nonsense'])(
  'the format %s is refused in words: nothing is pushed there',
  async (format) => {
    const answer = await ask('POST', '/main/messages', {
      body: '{}',
      headers: { 'servicebusnotification-format': format },
    });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining(`&quot;${format}&quot;`)]);
  },
);

test('a request that comes again under its id is the same send', async () => {
  const headers = { ...json, 'servicebusnotification-format': 'template', 'x-ms-client-request-id': 'r-1' };
  const [one, two] = [
    await ask('POST', '/main/messages', { body: '{}', headers }),
    await ask('POST', '/main/messages', { body: '{}', headers }),
  ];
  expect(one.headers.location).toBe(two.headers.location);
  const other = await ask('POST', '/main/messages', {
    body: '{}',
    headers: { ...headers, 'x-ms-client-request-id': 'r-2' },
  });
  expect(other.headers.location).not.toBe(one.headers.location);
});

test('telemetry has its members in order, and states that Java knows', async () => {
  const sent = await ask('POST', '/main/messages', {
    body: '{"m":"<&>"}',
    headers: { ...json, 'servicebusnotification-format': 'template', 'servicebusnotification-tags': 'nobody' },
  });
  const path = new URL(sent.headers.location!).pathname;
  const details = await eventually(async () => {
    const answer = await ask('GET', path);
    expect(answer.text).toContain('<State>NoTargetFound</State>');
    return answer;
  }, 20_000);
  expect(childText(parseXml(details.text), 'Location')).toBe(sent.headers.location!.replace('https:', 'sb:'));
  const names = parseXml(details.text).children.map(({ name }) => name);
  expect(names).toEqual([
    'NotificationId',
    'Location',
    'State',
    'EnqueueTime',
    'StartTime',
    'EndTime',
    'NotificationBody',
    'Tags',
  ]);
  expect(childText(parseXml(details.text), 'NotificationBody')).toBe('{"m":"<&>"}');
  expect((await ask('GET', '/main/messages/nh_unknown')).status).toBe(404);
});
