// The shapes that the clients of .NET and Java write, whose programs are not here: their paths, headers, XML and tokens, over
// HTTP/2 as Java speaks it. What JavaScript's client offers is in test/interop.
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../../test/support/eventually.ts';
import { useServer } from '../../../test/support/http-server.ts';
import { pruneDevices } from '../../hub/dead-devices.ts';
import { makeCertificate } from '../../kit/certificate.ts';
import { child, childText, parseXml } from '../../kit/xml.ts';

const { ca, cert, key } = makeCertificate();
const http = useServer({ tls: { port: 0, cert, key } });
const full = { name: 'DefaultFullSharedAccessSignature', secret: 'full-key-of-the-tests' };
const listen = { name: 'DefaultListenSharedAccessSignature', secret: 'listen-key-of-the-tests' };
let session: ClientHttp2Session;

beforeAll(() => {
  session = connect(origin(), { ca });
});
afterAll(() => new Promise<void>((resolve) => session.close(resolve)));

const origin = () => `https://localhost:${http.server.tlsPort}`;

/** As Java signs: the whole address, encoded, in lower case. */
function sign(path: string, { name, secret } = full): string {
  const sr = encodeURIComponent(origin() + path).toLowerCase();
  const se = Math.floor(Date.now() / 1000) + 3600;
  const sig = encodeURIComponent(createHmac('sha256', secret).update(`${sr}\n${se}`).digest('base64'));
  return `SharedAccessSignature sr=${sr}&sig=${sig}&se=${se}&skn=${name}`;
}

type Ask = {
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly rule?: typeof full | undefined;
};

async function ask(method: string, path: string, { headers = {}, body, rule = full }: Ask = {}) {
  const stream = session.request({ ':method': method, ':path': path, authorization: sign(path, rule), ...headers });
  stream.end(body);
  const [answer] = await once(stream, 'response');
  return { status: answer[':status'] as number, headers: answer as Record<string, string>, text: await text(stream) };
}

const connectSpace = 'http://schemas.microsoft.com/netservices/2010/10/servicebus/connect';
const entry = (description: string) =>
  `<?xml version="1.0" encoding="utf-8"?><entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">${description}</content></entry>`;
const registrationOf = (xml: string) => child(parseXml(xml), 'content')!.children[0]!;
const namesIn = (xml: string) => registrationOf(xml).children.map(({ name }) => name);
const json = { 'content-type': 'application/json' };
const atom = { 'content-type': 'application/atom+xml;type=entry;charset=utf-8' };

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
    ['Windows', { ChannelUri: 'https://db5.notify.windows.com/?token=a%2bb' }],
    ['Mpns', { ChannelUri: 'http://mpns.example/1' }],
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
  expect(await ask('PUT', '/main/Installations/net', { body, headers: json })).toMatchObject({ status: 200, text: '' });
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

test('a hub is made, read, changed, listed and removed by NamespaceManager; secrets of push services are not told', async () => {
  const property = (name: string, value: string) => `<Property><Name>${name}</Name><Value>${value}</Value></Property>`;
  const wns = `<WnsCredential><Properties>${property('PackageSid', 'ms-app://s-1')}${property('SecretKey', 'very secret')}</Properties></WnsCredential>`;
  const described = (inside: string) =>
    entry(
      `<NotificationHubDescription xmlns="${connectSpace}" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">${inside}</NotificationHubDescription>`,
    );
  const body = described(`${wns}<RegistrationTtl>P90D</RegistrationTtl><UserMetadata>ours</UserMetadata>`);
  const made = await ask('PUT', '/second?api-version=2020-06', { body, headers: atom });
  expect(made.status).toBe(201);
  expect(namesIn(made.text)).toEqual([
    'RegistrationTtl',
    'WnsCredential',
    'AuthorizationRules',
    'UserMetadata',
    'BrowserCredential',
  ]);
  expect(made.text).not.toContain('very secret');
  expect((await ask('PUT', '/second', { body, headers: atom })).status).toBe(409);
  // What was read and is sent back keeps the secret, and the rules that all hubs have are not copied.
  const read = await ask('GET', '/second');
  const back = await ask('PUT', '/second', {
    body: read.text.replace('>ours<', '>changed<'),
    headers: { ...atom, 'if-match': '*' },
  });
  expect([back.status, childText(registrationOf(back.text), 'UserMetadata')]).toEqual([200, 'changed']);
  const shown = await http.call('/v1/hubs/second');
  expect(shown.json).toMatchObject({
    deviceDays: 90,
    note: 'changed',
    platforms: { wns: { packageSid: 'ms-app://s-1' } },
  });
  expect((await http.call('/v1/hubs/second/rules')).json.items.every(({ preset }: { preset: boolean }) => preset)).toBe(
    true,
  );
  const registration = await ask('POST', '/second/registrations', {
    body: entry(
      `<GcmRegistrationDescription xmlns="${connectSpace}"><GcmRegistrationId>g</GcmRegistrationId></GcmRegistrationDescription>`,
    ),
    headers: atom,
  });
  const ends = Date.parse(childText(registrationOf(registration.text), 'ExpirationTime')!);
  expect(Math.round((ends - Date.now()) / 86_400_000)).toBe(90);
  const list = await ask('GET', '/$Resources/NotificationHubs?$skip=0&$top=100');
  expect([...list.text.matchAll(/<title type="text">([^<]+)/g)].map(([, title]) => title)).toEqual([
    'NotificationHubs',
    'main',
    'second',
  ]);
  expect(
    (await ask('PUT', '/third', { body: described('<GcmCredential><Properties/></GcmCredential>'), headers: atom }))
      .status,
  ).toBe(400);
  expect((await ask('PUT', '/third', { body: described(''), headers: atom, rule: listen })).status).toBe(401);
  expect((await ask('DELETE', '/second')).status).toBe(200);
  expect((await ask('GET', '/second')).status).toBe(404);
});

test('a path of one segment without a signature is nobody’s', async () => {
  const answer = await fetch(`${http.server.url}/second`);
  expect([answer.status, answer.headers.get('content-type')]).toEqual([404, 'application/problem+json; charset=utf-8']);
});

test('a rule of a hub’s own works at that hub only, and its older key until the next rotation', async () => {
  await http.call('/v1/hubs/own', { method: 'PUT', json: {} });
  const { json: rule } = await http.call('/v1/hubs/own/rules/app', { method: 'PUT', json: { rights: ['Listen'] } });
  const app = { name: 'app', secret: rule.primaryKey as string };
  expect((await ask('GET', '/own/installations/x', { rule: app })).text).toContain('Installation not found');
  expect((await ask('GET', '/main/installations/x', { rule: app })).status).toBe(401);
  const { json: rotated } = await http.call('/v1/hubs/own/rules/app/rotate', { method: 'POST' });
  expect(rotated.secondaryKey).toBe(rule.primaryKey);
  for (const secret of [rotated.primaryKey, rule.primaryKey])
    expect((await ask('GET', '/own/installations/x', { rule: { ...app, secret } })).status).toBe(404);
  await http.call('/v1/hubs/own/rules/app/rotate', { method: 'POST' });
  expect((await ask('GET', '/own/installations/x', { rule: app })).status).toBe(401);
});

test('registrations are imported and exported by jobs, whose files lie with the hub', async () => {
  expect((await http.call('/v1/hubs/bulk', { method: 'PUT', json: {} })).status).toBe(200);
  const line = (id: string, token: string, more = '') =>
    `<GcmTemplateRegistrationDescription xmlns="${connectSpace}"><RegistrationId>${id}</RegistrationId><Tags>t,u</Tags><GcmRegistrationId>${token}</GcmRegistrationId><BodyTemplate>{"a":&#10;"$(m)"}</BodyTemplate>${more}</GcmTemplateRegistrationDescription>`;
  const file = [line('r-1', 'one'), 'no registration', line('r-2', 'two'), ''].join('\n');
  expect(
    (await ask('PUT', '/bulk/files/in.txt', { body: file, headers: { 'content-type': 'text/plain' } })).status,
  ).toBe(201);
  const job = (type: string, uri?: string, output = `${origin()}/bulk/files`) =>
    entry(
      `<NotificationHubJob xmlns="${connectSpace}"><Type>${type}</Type><OutputContainerUri><![CDATA[${output}]]></OutputContainerUri>${uri === undefined ? '' : `<ImportFileUri><![CDATA[${uri}]]></ImportFileUri>`}</NotificationHubJob>`,
    );
  const run = async (body: string) => {
    const submitted = await ask('POST', '/bulk/jobs', { body, headers: atom });
    expect(submitted.status).toBe(201);
    const path = new URL(submitted.headers.location!).pathname;
    return eventually(async () => {
      const answer = await ask('GET', path);
      expect(answer.text).toMatch(/<Status>(Completed|Failed)/);
      return answer.text;
    });
  };
  const imported = await run(job('ImportCreateRegistrations', `${origin()}/bulk/files/in.txt`));
  expect(namesIn(imported)).toEqual([
    'JobId',
    'Progress',
    'Type',
    'Status',
    'OutputContainerUri',
    'ImportFileUri',
    'OutputProperties',
    'CreatedAt',
    'UpdatedAt',
  ]);
  const failedFile = /<d3p1:Key>FailedFilePath<\/d3p1:Key><d3p1:Value>([^<]+)/.exec(imported)![1]!;
  expect((await ask('GET', new URL(failedFile).pathname)).text).toMatch(/^2,".+"\n$/);
  const again = await run(job('ImportCreateRegistrations', `${origin()}/bulk/files/in.txt`));
  const failedAgain = /FailedFilePath<\/d3p1:Key><d3p1:Value>([^<]+)/.exec(again)![1]!;
  expect((await ask('GET', new URL(failedAgain).pathname)).text.split('\n')).toHaveLength(4);
  const exported = await run(job('ExportRegistrations'));
  const output = /OutputFilePath<\/d3p1:Key><d3p1:Value>([^<]+)/.exec(exported)![1]!;
  const lines = (await ask('GET', new URL(output).pathname)).text.trim().split('\n');
  expect(lines.map((each) => childText(parseXml(each), 'RegistrationId'))).toEqual(['r-1', 'r-2']);
  expect(childText(parseXml(lines[0]!), 'BodyTemplate')).toBe('{"a":\n"$(m)"}');
  await ask('PUT', '/bulk/files/out.txt', { body: lines.join('\n'), headers: { 'content-type': 'text/plain' } });
  expect(await run(job('ImportDeleteRegistrations', `${origin()}/bulk/files/out.txt`))).toContain('<Progress>100.00<');
  expect((await ask('GET', '/bulk/registrations')).text).not.toContain('<entry');
  expect((await ask('GET', '/bulk/jobs')).text.match(/<entry/g)).toHaveLength(4);
  for (const bad of [
    job('Import'),
    job('ImportCreateRegistrations'),
    job('ExportRegistrations', undefined, 'https://elsewhere.example/container?sig=x'),
    job('ImportCreateRegistrations', 'file:///etc/passwd'),
    job('ImportCreateRegistrations', `${origin()}/main/files/in.txt`),
  ])
    expect((await ask('POST', '/bulk/jobs', { body: bad, headers: atom })).status).toBe(400);
});

test('feedback is read at a signed address, as from a container of blobs', async () => {
  const device = { platform: 'fcmv1', address: 'dead-token' };
  await http.call('/v1/hubs/main/devices/dying', { method: 'PUT', json: device });
  const dead = { hub: 'main', id: 'dying', handle: 'dead-token', since: undefined, cause: 'BadChannel' };
  await pruneDevices(http.database, [dead], new Date());
  const address = new URL((await ask('GET', '/main/feedbackcontainer')).text);
  const read = (path: string) => fetch(`${http.server.url}${path}`);
  const list = await (await read(`${address.pathname}${address.search}&restype=container&comp=list`)).text();
  const [, name] = /<Name>(feedback-\d+\.xml)<\/Name>/.exec(list)!;
  const blob = await (await read(`${address.pathname}/${name}${address.search}`)).text();
  const record = parseXml(blob.trim().split('\n').at(-1)!);
  expect([record.name, childText(record, 'Platform'), childText(record, 'NotificationSystemError')]).toEqual([
    'PnsFeedback',
    'fcmv1',
    'BadChannel',
  ]);
  expect(childText(record, 'InstallationId')).toBe('dying');
  expect((await read(`${address.pathname}/${name}?se=9999999999&sig=x`)).status).toBe(403);
  const later = address.search.replace(/se=\d+/, 'se=9999999999');
  expect((await read(`${address.pathname}${later}`)).status).toBe(403);
});
