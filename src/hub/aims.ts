// From a send and a device to pushes: a native send goes once to each address of its platform, a template send once per
// template. Pure, but for the memory of templates that were read before.

import { type Device, handleOf } from './devices.ts';
import type { Platform } from './drivers/driver.ts';
import { compileBody, type Installation, type InstallationTemplate, type PushChannel, tagsOf } from './installation.ts';
import { pushPlatform } from './lanes.ts';
import { canonicalTag, matchesTags, type TagExpression } from './tags.ts';
import { propertiesOf, type Template, textTemplate } from './template.ts';

export type Message =
  | { readonly kind: 'native'; readonly platform: Platform; readonly body: string; readonly headers: Headers }
  | { readonly kind: 'template'; readonly properties: Readonly<Record<string, unknown>> };
type Headers = Readonly<Record<string, string>>;

export type Aim = {
  readonly platform: Platform;
  readonly address: PushChannel;
  readonly handle: string;
  readonly payload: string;
  readonly headers: Headers;
  /** Undefined for an address that no device of ours is known by. */
  readonly deviceId: string | undefined;
};

/** Where a device, or one of its tiles, can be pushed to, with the tags that lead there. */
type Place = Pick<Installation, 'templates' | 'tags'> & { readonly address: PushChannel };

export function aimsAt(message: Message, expression: TagExpression | undefined, device: Device): Aim[] {
  const platform = pushPlatform(device.installation.platform);
  if (platform === undefined || (message.kind === 'native' && message.platform !== platform)) return [];
  return placesOf(device).flatMap((place) => {
    const common = { platform, address: place.address, handle: textOf(place.address), deviceId: device.id };
    if (message.kind === 'template') return templateAims(message, expression, device, place, common);
    // A registration with a template is for template sends only.
    if (device.kind === 'registration' && Object.keys(place.templates).length > 0) return [];
    if (expression && !matchesTags(expression, tagSet(device, place.tags))) return [];
    return [{ ...common, payload: message.body, headers: message.headers }];
  });
}

function templateAims(
  message: Extract<Message, { kind: 'template' }>,
  expression: TagExpression | undefined,
  device: Device,
  place: Place,
  common: Omit<Aim, 'payload' | 'headers'>,
): Aim[] {
  const properties = propertiesOf(message.properties, device.installation.pushVariables);
  return Object.values(place.templates).flatMap((template) => {
    if (expression && !matchesTags(expression, tagSet(device, [...place.tags, ...template.tags]))) return [];
    const payload = compiled(device.installation, template).render(properties);
    const headers = Object.entries(template.headers).map(
      ([name, value]) => [name, textTemplate(value).render(properties)] as const,
    );
    return [
      { ...common, payload, headers: { ...typeOfWindows(common.platform, payload), ...Object.fromEntries(headers) } },
    ];
  });
}

function placesOf({ installation }: Device): Place[] {
  const { pushChannel, tags, templates, secondaryTiles } = installation;
  const tiles = Object.values(secondaryTiles).map((tile) => ({ ...tile, address: tile.pushChannel }));
  return [{ address: pushChannel, tags, templates }, ...tiles];
}

function tagSet({ kind, installation }: Device, tags: readonly string[]): ReadonlySet<string> {
  if (kind === 'registration') return new Set(tags.map(canonicalTag));
  return tagsOf({ ...installation, tags });
}

function textOf(address: PushChannel): string {
  return typeof address === 'string' ? address : handleOf({ pushChannel: address });
}

/** Devices of one app share their templates; reading one costs a hundred times what rendering costs. */
const read = new Map<string, Template>();
const mostRead = 5_000;

function compiled({ platform }: Installation, { body, headers }: InstallationTemplate): Template {
  const type = Object.entries(headers).find(([name]) => name.toLowerCase() === 'x-wns-type')?.[1] ?? '';
  const name = `${platform} ${type} ${body}`;
  const known = read.get(name);
  if (known) return known;
  if (read.size >= mostRead) read.clear();
  const template = compileBody(platform, body, headers);
  read.set(name, template);
  return template;
}

/** Windows wants to be told what the XML already says. */
function typeOfWindows(platform: Platform, payload: string): Headers {
  const root = platform === 'wns' ? /^\s*<(toast|tile|badge)\b/.exec(payload)?.[1] : undefined;
  return root === undefined ? {} : { 'X-WNS-Type': `wns/${root}` };
}
