// Hubs as the administration clients of .NET and Java describe them. Members stand in the order in which .NET reads them.
// Secrets of push services are not told again: what is printed in their place means, when it comes back, that they stay.

import type { HubDetails, HubParts } from '../../hub/hub-admin.ts';
import type { HubCredentials } from '../../hub/hubs.ts';
import { type HubRight, type HubRule, type HubSettings, hubRights } from '../../hub/rules.ts';
import { child, childText, type Element, parseXml, tag, textTag } from '../../kit/xml.ts';
import { connectNamespace, DoorError } from './answers.ts';
import { atomEntry } from './atom.ts';

const kept = '********';
const forEver = 'P10675199DT2H48M5.4775807S';
/** What services that are closed, or that we do not speak, would need. */
const notSpoken = ['GcmCredential', 'MpnsCredential', 'AdmCredential', 'BaiduCredential', 'XiaomiCredential'];

/** The hub as the request wants it. `before`: what is there. Throws DoorError 400. */
export function readHub(body: string, before: HubParts, defaults: readonly HubRule[]): HubParts {
  const description = child(child(parseXml(body), 'content'), 'NotificationHubDescription');
  if (description === undefined) throw new DoorError(400, 'The body holds no NotificationHubDescription.');
  const foreign = notSpoken.find((name) => child(child(description, name), 'Properties') !== undefined);
  if (foreign !== undefined)
    throw new DoorError(400, `${foreign} is of no use here: nothing is pushed to that service.`);
  return {
    credentials: { ...before.credentials, ...readCredentials(description, before.credentials) },
    rules: child(description, 'AuthorizationRules') === undefined ? before.rules : readRules(description, defaults),
    settings: readSettings(description),
  };
}

export function printHub(hub: HubDetails, defaults: readonly HubRule[], origin: string): string {
  const own = new Set(hub.rules.map(({ name }) => name));
  // Those of a namespace are no hub's.
  const rules = [...defaults.filter(({ name }) => !own.has(name) && name.startsWith('Default')), ...hub.rules];
  const { apns, wns, fcmv1, browser } = hub.credentials;
  const parts = [
    credential(
      'ApnsCredential',
      apns && {
        Endpoint: `https://${apns.environment === 'production' ? 'api.push.apple.com' : 'api.development.push.apple.com'}:443/3/device`,
        AppId: apns.teamId,
        AppName: apns.bundleId,
        KeyId: apns.keyId,
        Token: kept,
      },
    ),
    textTag('RegistrationTtl', printDuration(hub.settings.registrationTtlMs)),
    credential(
      'WnsCredential',
      wns && 'packageSid' in wns ? { PackageSid: wns.packageSid, SecretKey: kept } : undefined,
    ),
    tag('AuthorizationRules', rules.map((rule) => printRule(rule, hub)).join('')),
    textTag('UserMetadata', hub.settings.userMetadata),
    credential(
      'FcmV1Credential',
      fcmv1 && { ProjectId: fcmv1.project_id, PrivateKey: kept, ClientEmail: fcmv1.client_email },
    ),
    credential(
      'BrowserCredential',
      browser && {
        Subject: browser.subject,
        VapidPublicKey: browser.publicKey,
        VapidPrivateKey: kept,
      },
    ),
  ];
  const content = tag('NotificationHubDescription', parts.join(''), connectNamespace);
  const id = `${origin}/${encodeURIComponent(hub.name)}?api-version=2020-06`;
  return atomEntry({ id, title: hub.name, from: hub.createdAt, to: hub.updatedAt, content, etag: hub.version });
}

function credential(name: string, properties: Readonly<Record<string, string>> | undefined): string {
  if (properties === undefined) return '';
  const each = Object.entries(properties).map(([key, value]) =>
    tag('Property', textTag('Name', key) + textTag('Value', value)),
  );
  return tag(name, tag('Properties', each.join('')));
}

function printRule({ name, rights, primaryKey, secondaryKey }: HubRule, { createdAt, updatedAt }: HubDetails): string {
  const parts = [
    textTag('ClaimType', 'SharedAccessKey'),
    textTag('ClaimValue', 'None'),
    tag('Rights', rights.map((right) => textTag('AccessRights', right)).join('')),
    textTag('CreatedTime', createdAt.toISOString()),
    textTag('ModifiedTime', updatedAt.toISOString()),
    textTag('KeyName', name),
    textTag('PrimaryKey', primaryKey),
    textTag('SecondaryKey', secondaryKey ?? primaryKey),
  ];
  return tag('AuthorizationRule', parts.join(''), 'i:type="SharedAccessAuthorizationRule"');
}

function readCredentials(description: Element, before: HubCredentials): HubCredentials {
  const of = (name: string) => readProperties(child(child(description, name), 'Properties'));
  const [apns, wns, fcm, browser] = ['ApnsCredential', 'WnsCredential', 'FcmV1Credential', 'BrowserCredential'].map(of);
  return {
    ...(apns === undefined ? {} : { apns: readApns(apns, before.apns) }),
    ...(wns === undefined
      ? {}
      : {
          wns: {
            ...before.wns,
            packageSid: need(wns, 'PackageSid'),
            secret: secret(wns, 'SecretKey', before.wns?.secret),
          },
        }),
    ...(fcm === undefined
      ? {}
      : {
          fcmv1: {
            ...before.fcmv1,
            project_id: need(fcm, 'ProjectId'),
            client_email: need(fcm, 'ClientEmail'),
            private_key: pem(secret(fcm, 'PrivateKey', before.fcmv1?.private_key)),
          },
        }),
    ...(browser === undefined
      ? {}
      : {
          browser: {
            ...before.browser,
            subject: need(browser, 'Subject'),
            publicKey: need(browser, 'VapidPublicKey'),
            privateKey: secret(browser, 'VapidPrivateKey', before.browser?.privateKey),
          },
        }),
  };
}

function readApns(
  given: ReadonlyMap<string, string>,
  before: HubCredentials['apns'],
): NonNullable<HubCredentials['apns']> {
  if (given.has('ApnsCertificate'))
    throw new DoorError(400, 'Apple is reached with a token here: give KeyId, AppId, AppName and Token.');
  const sandbox = /sandbox|development/i.test(given.get('Endpoint') ?? '');
  return {
    ...before,
    keyId: need(given, 'KeyId'),
    teamId: need(given, 'AppId'),
    bundleId: need(given, 'AppName'),
    privateKey: pem(secret(given, 'Token', before?.privateKey)),
    environment: sandbox ? 'sandbox' : 'production',
  };
}

/** The portal of the vendor takes keys without their first and last line. */
function pem(key: string): string {
  const text = key.replaceAll('\\n', '\n');
  return text.includes('-----BEGIN')
    ? text
    : `-----BEGIN PRIVATE KEY-----\n${text.trim()}\n-----END PRIVATE KEY-----\n`;
}

function readProperties(list: Element | undefined): ReadonlyMap<string, string> | undefined {
  if (list === undefined) return undefined;
  return new Map(list.children.map((each) => [childText(each, 'Name') ?? '', childText(each, 'Value') ?? ''] as const));
}

function need(given: ReadonlyMap<string, string>, name: string): string {
  const value = given.get(name);
  if (!value) throw new DoorError(400, `${name} is missing among the properties of a credential.`);
  return value;
}

function secret(given: ReadonlyMap<string, string>, name: string, before: string | undefined): string {
  const value = need(given, name);
  return value === kept && before !== undefined ? before : value;
}

/** What the settings give to every hub is not a hub's own, though clients send it back. */
function readRules(description: Element, defaults: readonly HubRule[]): HubRule[] {
  return (child(description, 'AuthorizationRules')?.children ?? []).flatMap((element) => {
    const name = childText(element, 'KeyName');
    const [primaryKey, secondaryKey] = [childText(element, 'PrimaryKey'), childText(element, 'SecondaryKey')];
    const given = (child(element, 'Rights')?.children ?? []).map(({ text }) => text.trim());
    const rights = hubRights.filter((right) => given.some((each) => each.toLowerCase() === right.toLowerCase()));
    if (name === undefined || primaryKey === undefined || rights.length === 0)
      throw new DoorError(400, 'An authorization rule needs KeyName, PrimaryKey and Rights.');
    if (
      defaults.some((rule) => rule.name === name && rule.primaryKey === primaryKey && sameRights(rule.rights, rights))
    )
      return [];
    return [{ name, primaryKey, secondaryKey, rights }];
  });
}

function sameRights(one: readonly HubRight[], other: readonly HubRight[]): boolean {
  return one.length === other.length && one.every((right) => other.includes(right));
}

function readSettings(description: Element): HubSettings {
  return {
    registrationTtlMs: readDuration(childText(description, 'RegistrationTtl')),
    userMetadata: childText(description, 'UserMetadata'),
  };
}

function readDuration(text: string | undefined): number | undefined {
  if (text === undefined || text === forEver) return undefined;
  const found = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(text);
  if (found === null) throw new DoorError(400, `RegistrationTtl is no duration: "${text}".`);
  const [days, hours, minutes, seconds] = found.slice(1).map((part) => Number(part ?? 0));
  return (((days! * 24 + hours!) * 60 + minutes!) * 60 + seconds!) * 1000;
}

function printDuration(ms: number | undefined): string {
  if (ms === undefined) return forEver;
  const seconds = Math.round(ms / 1000);
  const rest = seconds % 86_400;
  return `P${Math.floor(seconds / 86_400)}D${rest === 0 ? '' : `T${rest}S`}`;
}
