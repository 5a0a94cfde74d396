// Registrations in Atom: read into the words of an installation and printed back. Members stand in the order in which .NET
// reads them; empty ones are left out, because JavaScript would read an empty text as one tag.

import type { Device } from '../../hub/devices.ts';
import {
  type Installation,
  type InstallationPlatform,
  type InstallationTemplate,
  parseInstallation,
} from '../../hub/installation.ts';
import { child, childText, type Element, parseXml, tag, textTag } from '../../kit/xml.ts';
import { connectNamespace, DoorError } from './answers.ts';

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
};
const headerLists: Partial<Record<InstallationPlatform, string>> = { apns: 'Apns', wns: 'Wns', mpns: 'Mpns' };
const never = '9999-12-31T23:59:59.9999999Z';
/** The name of a registration's template that has none. */
const unnamed = 'template';

/** Throws Refusal or DoorError 400. `id`: the registration's. */
export function readRegistration(body: string, id: string): Installation {
  const description = child(parseXml(body), 'content')?.children[0];
  const name = typeName(description);
  const found = Object.entries(kinds).find(([, [prefix]]) => name === prefix || name === `${prefix}Template`);
  if (description === undefined || found === undefined)
    throw new DoorError(400, `There is no kind of registration "${name}".`);
  const [prefix, member] = found[1];
  const platform = found[0] as InstallationPlatform; // a key of kinds
  const tags = (childText(description, 'Tags') ?? '').split(',').map((each) => each.trim());
  const variables = childText(description, 'PushVariables');
  return parseInstallation({
    installationId: id,
    platform,
    pushChannel: readChannel(description, platform, member),
    tags: tags.filter((each) => each !== ''),
    templates: name === prefix ? {} : readTemplate(description, platform),
    ...(variables === undefined ? {} : { pushVariables: variables }),
  });
}

/** The Atom entry of a registration. */
export function printRegistration(device: Device, origin: string): string {
  const href = `${origin}/${encodeURIComponent(device.hub)}/registrations/${device.id}?api-version=2020-06`;
  const parts = [
    textTag('id', href),
    `<title type="text">${device.id}</title>`,
    textTag('published', device.createdAt.toISOString()),
    textTag('updated', device.updatedAt.toISOString()),
    `<link rel="self" href="${href}"/>`,
    tag('content', printDescription(device), 'type="application/xml"'),
  ];
  const attributes = `xmlns="http://www.w3.org/2005/Atom" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" m:etag="W/&quot;${device.etag}&quot;"`;
  return tag('entry', parts.join(''), attributes);
}

export function printRegistrations(devices: readonly Device[], origin: string, hub: string): string {
  const href = `${origin}/${encodeURIComponent(hub)}/registrations`;
  const head = `<title type="text">Registrations</title>${textTag('id', href)}${textTag('updated', new Date().toISOString())}`;
  const entries = devices.map((device) => printRegistration(device, origin));
  return tag('feed', head + entries.join(''), 'xmlns="http://www.w3.org/2005/Atom"');
}

function printDescription(device: Device): string {
  const { installation } = device;
  const [prefix, member] = kinds[installation.platform]!;
  const { tags, pushVariables, pushChannel, expirationTime } = installation;
  const [template] = Object.entries(installation.templates);
  const parts = [
    textTag('ETag', device.etag),
    textTag('ExpirationTime', expirationTime?.toISOString() ?? never),
    textTag('RegistrationId', device.id),
    textTag('Tags', tags.length === 0 ? undefined : tags.join(',')),
    textTag('PushVariables', Object.keys(pushVariables).length === 0 ? undefined : JSON.stringify(pushVariables)),
    typeof pushChannel === 'string'
      ? textTag(member, pushChannel)
      : textTag('Endpoint', pushChannel.endpoint) +
        textTag('P256DH', pushChannel.p256dh) +
        textTag('Auth', pushChannel.auth),
    template === undefined ? '' : printTemplate(installation.platform, ...template),
  ];
  const kind = template === undefined ? prefix : `${prefix}Template`;
  return tag(`${kind}RegistrationDescription`, parts.join(''), connectNamespace);
}

function printTemplate(platform: InstallationPlatform, name: string, template: InstallationTemplate): string {
  const body = `<BodyTemplate><![CDATA[${template.body.replaceAll(']]>', ']]]]><![CDATA[>')}]]></BodyTemplate>`;
  const title = name === unnamed ? '' : textTag('TemplateName', name);
  const headers = printHeaders(platform, template.headers);
  const expiry = textTag('Expiry', template.expiry);
  return platform === 'apns' ? body + expiry + title + headers : body + headers + title;
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
  const address = childText(description, member);
  if (platform !== 'browser') return platform === 'apns' ? address?.toUpperCase() : address;
  return { endpoint: address, p256dh: childText(description, 'P256DH'), auth: childText(description, 'Auth') };
}

function readTemplate(description: Element, platform: InstallationPlatform): Record<string, unknown> {
  const list = headerLists[platform];
  const headers = (child(description, `${list}Headers`)?.children ?? []).map(
    (each) => [childText(each, 'Header') ?? '', childText(each, 'Value') ?? ''] as const,
  );
  const priority = childText(description, 'Priority');
  return {
    [childText(description, 'TemplateName') ?? unnamed]: {
      body: childText(description, 'BodyTemplate'),
      headers: { ...(priority === undefined ? {} : { 'apns-priority': priority }), ...Object.fromEntries(headers) },
      expiry: childText(description, 'Expiry'),
    },
  };
}
