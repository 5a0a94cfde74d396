// Registrations in Atom: read into the words of an installation and printed back. Members stand in the order in which .NET
// reads them; empty ones are left out, because JavaScript would read an empty text as one tag.

import type { Device } from '../../hub/devices.ts';
import {
  type Installation,
  type InstallationPlatform,
  type InstallationTemplate,
  parseInstallation,
  vendorPriority,
} from '../../hub/installation.ts';
import type { TagLimits } from '../../hub/tags.ts';
import { child, childText, type Element, parseXml, tag, textTag } from '../../kit/xml.ts';
import { connectNamespace, DoorError } from './answers.ts';
import { atomEntry, atomFeed } from './atom.ts';

/** Platform -> the prefix of its description and the member that holds its address. */
const kinds: Partial<Record<InstallationPlatform, readonly [prefix: string, member: string]>> = {
  apns: ['Apple', 'DeviceToken'],
  fcmv1: ['FcmV1', 'FcmV1RegistrationId'],
  gcm: ['Gcm', 'GcmRegistrationId'],
  wns: ['Windows', 'ChannelUri'],
  mpns: ['Mpns', 'ChannelUri'],
  browser: ['Browser', 'Endpoint'],
  adm: ['Adm', 'AdmRegistrationId'],
  xiaomi: ['Xiaomi', 'XiaomiRegistrationId'],
  baidu: ['Baidu', 'BaiduChannelId'],
};
const headerLists: Partial<Record<InstallationPlatform, string>> = { apns: 'Apns', wns: 'Wns', mpns: 'Mpns' };
const never = '9999-12-31T23:59:59.9999999Z';
/** The name of a registration's template that has none: one that nobody gives. */
const unnamed = '(unnamed)';

/** Throws Refusal or DoorError 400. `id`: the registration's. */
export function readRegistration(body: string, id: string, limits: TagLimits): Installation {
  return readDescription(child(parseXml(body), 'content')?.children[0], id, limits);
}

/** A line of a job's file: a description, bare or in its entry; without an id of its own it gets this one. */
export function readRegistrationLine(line: string, newId: () => string, limits: TagLimits): Installation {
  const root = parseXml(line);
  const description = root.name === 'entry' ? child(root, 'content')?.children[0] : root;
  return readDescription(description, registrationIdOf(description) ?? newId(), limits);
}

/** For deletions, whose lines may hold nothing else. */
export function readRegistrationId(line: string): string {
  if (!line.startsWith('<')) return line;
  const root = parseXml(line);
  const id = registrationIdOf(root.name === 'entry' ? child(root, 'content')?.children[0] : root);
  if (id === undefined) throw new DoorError(400, 'The line has no RegistrationId.');
  return id;
}

function registrationIdOf(description: Element | undefined): string | undefined {
  return childText(description, 'RegistrationId');
}

function readDescription(description: Element | undefined, id: string, limits: TagLimits): Installation {
  const name = typeName(description);
  const found = Object.entries(kinds).find(([, [prefix]]) => name === prefix || name === `${prefix}Template`);
  if (description === undefined || found === undefined)
    throw new DoorError(400, `There is no kind of registration "${name}".`);
  const [prefix, member] = found[1];
  const platform = found[0] as InstallationPlatform; // a key of kinds
  const tags = (childText(description, 'Tags') ?? '').split(',').map((each) => each.trim());
  const variables = childText(description, 'PushVariables');
  return parseInstallation(
    {
      installationId: id,
      platform,
      pushChannel: readChannel(description, platform, member),
      tags: tags.filter((each) => each !== ''),
      templates: name === prefix ? {} : readTemplate(description, platform),
      ...(variables === undefined ? {} : { pushVariables: variables }),
      secondaryTileName: childText(description, 'SecondaryTileName'),
    },
    id,
    limits,
  );
}

/** The Atom entry of a registration. */
export function printRegistration(device: Device, origin: string): string {
  const href = `${origin}/${encodeURIComponent(device.hub)}/registrations/${device.id}?api-version=2020-06`;
  const { id, createdAt: from, updatedAt: to, etag } = device;
  return atomEntry({ id: href, title: id, from, to, etag, content: printDescription(device) });
}

export function printRegistrations(devices: readonly Device[], origin: string, hub: string): string {
  const entries = devices.map((device) => printRegistration(device, origin));
  return atomFeed('Registrations', `${origin}/${encodeURIComponent(hub)}/registrations`, entries);
}

/** On one line, without CDATA, in which a line break could not be said. */
export function printRegistrationLine(device: Device): string {
  return printDescription(device, false).replaceAll('\r', '&#13;').replaceAll('\n', '&#10;');
}

function printDescription(device: Device, cdata = true): string {
  const { installation } = device;
  // A registration is of one of these: readDescription saw to it.
  const [prefix, member] = kinds[installation.platform]!;
  const { tags, pushVariables, expirationTime } = installation;
  const [template] = Object.entries(installation.templates);
  const parts = [
    textTag('ETag', device.etag),
    textTag('ExpirationTime', expirationTime?.toISOString() ?? never),
    textTag('RegistrationId', device.id),
    textTag('Tags', tags.length === 0 ? undefined : tags.join(',')),
    textTag('PushVariables', Object.keys(pushVariables).length === 0 ? undefined : JSON.stringify(pushVariables)),
    printChannel(installation, member),
    template === undefined ? '' : printTemplate(installation.platform, ...template, cdata),
  ];
  const kind = template === undefined ? prefix : `${prefix}Template`;
  return tag(`${kind}RegistrationDescription`, parts.join(''), connectNamespace);
}

function printChannel({ platform, pushChannel, secondaryTileName }: Installation, member: string): string {
  if (typeof pushChannel !== 'string')
    return (
      textTag('Endpoint', pushChannel.endpoint) +
      textTag('P256DH', pushChannel.p256dh) +
      textTag('Auth', pushChannel.auth)
    );
  if (platform !== 'baidu') return textTag(member, pushChannel) + textTag('SecondaryTileName', secondaryTileName);
  const [user, channel] = splitBaidu(pushChannel);
  return textTag('BaiduUserId', user) + textTag('BaiduChannelId', channel);
}

function printTemplate(
  platform: InstallationPlatform,
  name: string,
  template: InstallationTemplate,
  cdata: boolean,
): string {
  const escaped = template.body.replaceAll(']]>', ']]]]><![CDATA[>');
  const body = cdata ? `<BodyTemplate><![CDATA[${escaped}]]></BodyTemplate>` : textTag('BodyTemplate', template.body);
  const title = name === unnamed ? '' : textTag('TemplateName', name);
  if (platform !== 'apns') return body + printHeaders(platform, template.headers) + title;
  const { [vendorPriority]: priority, ...headers } = template.headers;
  return (
    body + textTag('Expiry', template.expiry) + title + textTag('Priority', priority) + printHeaders(platform, headers)
  );
}

function printHeaders(platform: InstallationPlatform, headers: Readonly<Record<string, string>>): string {
  const list = headerLists[platform];
  const entries = Object.entries(headers);
  if (list === undefined || entries.length === 0) return '';
  const each = entries.map(([name, value]) => tag(`${list}Header`, textTag('Header', name) + textTag('Value', value)));
  return tag(`${list}Headers`, each.join(''));
}

/** .NET writes the base type and names the real one in an attribute. */
function typeName(description: Element | undefined): string {
  const attribute = [...(description?.attributes ?? [])].find(
    ([name]) => name === 'type' || name.endsWith(':type'),
  )?.[1];
  const name = description?.name === 'RegistrationDescription' ? (attribute ?? '') : (description?.name ?? '');
  return name.replace(/^.*:/, '').replace(/RegistrationDescription$/, '');
}

function readChannel(description: Element, platform: InstallationPlatform, member: string): unknown {
  const address = need(description, member);
  if (platform === 'baidu') return `${need(description, 'BaiduUserId')}-${address}`;
  if (platform === 'browser')
    return { endpoint: address, p256dh: need(description, 'P256DH'), auth: need(description, 'Auth') };
  if (platform !== 'apns') return address;
  if (!/^(?:[0-9a-f]{2})+$/i.test(address))
    throw new DoorError(400, 'DeviceToken is a text of hexadecimal digits, two for each byte.');
  return address.toUpperCase();
}

function need(description: Element, member: string): string {
  const given = childText(description, member);
  if (given === undefined) throw new DoorError(400, `The registration has no ${member}.`);
  return given;
}

function readTemplate(description: Element, platform: InstallationPlatform): Record<string, unknown> {
  const list = headerLists[platform];
  const headers = (child(description, `${list}Headers`)?.children ?? []).map(
    (each) => [childText(each, 'Header') ?? '', childText(each, 'Value') ?? ''] as const,
  );
  const priority = childText(description, 'Priority');
  return {
    [childText(description, 'TemplateName') ?? unnamed]: {
      body: need(description, 'BodyTemplate'),
      headers: { ...(priority === undefined ? {} : { [vendorPriority]: priority }), ...Object.fromEntries(headers) },
      expiry: childText(description, 'Expiry'),
    },
  };
}

/** Baidu's address has two parts; a device of ours has one text. */
function splitBaidu(address: string): [user: string, channel: string] {
  const at = address.indexOf('-');
  return [address.slice(0, at), address.slice(at + 1)];
}
