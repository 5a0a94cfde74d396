// What NamespaceManager and the jobs and feedback of .NET and Java ask for: hubs, rules, files, blobs.
import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { eventually } from '../../../test/support/eventually.ts';
import {
  atom,
  connectSpace,
  entry,
  listen,
  namesIn,
  registrationOf,
  useHubDoor,
} from '../../../test/support/hub-door.ts';
import { pruneDevices } from '../../hub/dead-devices.ts';
import { childText, parseXml } from '../../kit/xml.ts';

const { http, origin, ask } = useHubDoor();

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

test('keys of push services that could not sign are refused when they are set', async () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  const apple = {
    KeyId: 'K',
    AppId: 'T',
    AppName: 'com.example',
    Endpoint: 'https://api.push.apple.com',
    Token: String(rsa),
  };
  const google = { ProjectId: 'p', ClientEmail: 'a@b', PrivateKey: 'nonsense' };
  for (const [kind, properties, words] of [
    ['Apns', apple, 'of another kind (rsa)'],
    ['FcmV1', google, 'no key in PEM form'],
  ] as const) {
    const list = Object.entries(properties).map(
      ([name, value]) => `<Property><Name>${name}</Name><Value>${value}</Value></Property>`,
    );
    const body = entry(
      `<NotificationHubDescription xmlns="${connectSpace}"><${kind}Credential><Properties>${list.join('')}</Properties></${kind}Credential></NotificationHubDescription>`,
    );
    const answer = await ask('PUT', '/keys', { body, headers: atom });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining(words)]);
  }
  expect((await ask('GET', '/keys')).status).toBe(404);
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
