// From a send and a device to pushes: a native send goes once to each address of its platform, a template send once per
// template. Pure, but for the memory of templates that were read before. A broadcast comes through here for every device,
// so what is the same for all of them (the send's properties put into the template, its headers) is made once.

import { type Device, handleOf } from './devices.ts';
import type { Platform } from './drivers/driver.ts';
import {
  compileBody,
  type Installation,
  type InstallationPlatform,
  type InstallationTemplate,
  type PushChannel,
  tagsOf,
  vendorPriority,
} from './installation.ts';
import { pushPlatform } from './lanes.ts';
import { windowsType } from './message.ts';
import { canonicalTag, matchesTags, type TagExpression } from './tags.ts';
import { sentProperties, type Template, textTemplate, withVariables } from './template.ts';
import type { Properties } from './template-expression.ts';

export type Message =
  | { readonly kind: 'native'; readonly platform: Platform; readonly body: string; readonly headers: Headers }
  | { readonly kind: 'template'; readonly properties: Readonly<Record<string, unknown>> };
type Headers = Readonly<Record<string, string>>;
export type Templates = Readonly<Record<string, InstallationTemplate>>;

export type Aim = {
  readonly platform: Platform;
  readonly address: PushChannel;
  readonly handle: string;
  readonly payload: string;
  readonly headers: Headers;
  /** Undefined for an address that no device of ours is known by. */
  readonly deviceId: string | undefined;
  /** Which of several pushes to the device: empty, or the name of the template, with that of the tile before it. */
  readonly part: string;
};

/** Where a device, or one of its tiles, can be pushed to. */
export type Place = {
  readonly tile: string;
  readonly address: PushChannel;
  readonly handle: string;
  /** Devices of one app share the object. */
  readonly templates: Templates;
  /** Canonical, with the implicit ones; needed only where there is an expression. */
  readonly tags: readonly string[];
};

/** What the aim is taken at: all of a device that matters here. */
export type AimDevice = {
  readonly id: string;
  readonly kind: Device['kind'];
  readonly platform: InstallationPlatform;
  readonly variables: Readonly<Record<string, string>>;
  readonly places: readonly Place[];
};

export function aimDeviceOf({ id, kind, installation }: Pick<Device, 'id' | 'kind' | 'installation'>): AimDevice {
  const { platform, pushChannel, pushVariables: variables, tags, templates, secondaryTiles } = installation;
  const placeOf = (tile: string, address: PushChannel, own: Pick<Installation, 'tags' | 'templates'>): Place => ({
    tile,
    address,
    handle: handleOf({ pushChannel: address }),
    templates: own.templates,
    tags: kind === 'registration' ? own.tags.map(canonicalTag) : [...tagsOf({ ...installation, tags: own.tags })],
  });
  const places = [placeOf('', pushChannel, { tags, templates })];
  for (const name in secondaryTiles)
    places.push(placeOf(name, secondaryTiles[name]!.pushChannel, secondaryTiles[name]!));
  return { id, kind, platform, variables, places };
}

/** One send's pushes to a single device. For many devices keep an Aimer. */
export function aimsAt(message: Message, expression: TagExpression | undefined, device: AimDevice): Aim[] {
  const aims: Aim[] = [];
  new Aimer(message, expression).take(device, aims);
  return aims;
}

/** Straight to addresses, whether they are known or not. */
export function directAims(message: Message, addresses: readonly Aim['address'][]): Aim[] {
  if (message.kind === 'template') return [];
  const { platform, body: payload, headers } = message;
  return addresses.map((address) => {
    const handle = handleOf({ pushChannel: address });
    return { platform, address, handle, payload, headers, deviceId: undefined, part: '' };
  });
}

/** A template with the properties of one send in it. */
type Filled = Compiled & {
  readonly name: string;
  readonly tags: readonly string[];
  /** The payload, where it looks at nothing of the device. */
  readonly payload: string | undefined;
};

export class Aimer {
  readonly #message: Message;
  readonly #expression: TagExpression | undefined;
  readonly #sent: ReadonlyMap<string, string>;
  readonly #filled = new Map<Template, Pick<Filled, 'template' | 'payload'>>();
  /** By the templates of devices that share them; on each platform they mean something else. */
  readonly #sets = new Map<InstallationPlatform, WeakMap<Templates, readonly Filled[]>>();

  constructor(message: Message, expression: TagExpression | undefined) {
    this.#message = message;
    this.#expression = expression;
    this.#sent = sentProperties(message.kind === 'template' ? message.properties : {});
  }

  /** Adds the pushes to `device` to `aims`. */
  take(device: AimDevice, aims: Aim[]): void {
    const platform = pushPlatform(device.platform);
    const message = this.#message;
    if (platform === undefined || (message.kind === 'native' && message.platform !== platform)) return;
    for (const place of device.places) {
      if (message.kind === 'template') this.#takeTemplates(device, platform, place, aims);
      // A registration with a template is for template sends only.
      else if (device.kind === 'installation' || Object.keys(place.templates).length === 0) {
        if (!this.#means(place.tags)) continue;
        const { address, handle, tile: part } = place;
        const { body: payload, headers } = message;
        aims.push({ platform, address, handle, payload, headers, deviceId: device.id, part });
      }
    }
  }

  #takeTemplates(device: AimDevice, platform: Platform, place: Place, aims: Aim[]): void {
    const { address, handle, tile, tags } = place;
    let properties: Properties | undefined;
    for (const { name, template, payload: fixed, headers, tags: own } of this.#filledOf(
      device.platform,
      place.templates,
    )) {
      if (this.#expression !== undefined && !this.#means(own.length === 0 ? tags : [...tags, ...own])) continue;
      properties ??= withVariables(this.#sent, device.variables);
      const payload = fixed ?? template.render(properties);
      aims.push({
        platform,
        address,
        handle,
        payload,
        headers: headersOf(platform, payload, headers, properties),
        deviceId: device.id,
        part: tile === '' ? name : `${tile}/${name}`,
      });
    }
  }

  #means(tags: readonly string[]): boolean {
    return this.#expression === undefined || matchesTags(this.#expression, new Set(tags));
  }

  #filledOf(platform: InstallationPlatform, templates: Templates): readonly Filled[] {
    let sets = this.#sets.get(platform);
    if (sets === undefined) {
      sets = new WeakMap();
      this.#sets.set(platform, sets);
    }
    let filled = sets.get(templates);
    if (filled === undefined) {
      filled = Object.entries(templates).map(([name, each]) => {
        const { template, headers } = compiled(platform, each);
        return { name, headers, tags: each.tags.map(canonicalTag), ...this.#fill(template) };
      });
      sets.set(templates, filled);
    }
    return filled;
  }

  #fill(template: Template): Pick<Filled, 'template' | 'payload'> {
    let filled = this.#filled.get(template);
    if (filled === undefined) {
      const own = template.fill(this.#sent);
      filled = { template: own, payload: own.names.size === 0 ? own.render(this.#sent) : undefined };
      if (this.#filled.size >= mostRead) this.#filled.clear();
      this.#filled.set(template, filled);
    }
    return filled;
  }
}

type CompiledHeaders = readonly (readonly [name: string, value: Template])[];
type Compiled = { readonly template: Template; readonly headers: CompiledHeaders };

/** Devices of one app share their templates; reading one costs a hundred times what rendering costs. */
const read = new Map<string, Map<string, Compiled>>();
const mostRead = 5_000;

function compiled(platform: InstallationPlatform, template: InstallationTemplate): Compiled {
  const { body } = template;
  const headers = platform === 'apns' ? appleHeaders(template) : template.headers;
  const names = Object.keys(headers);
  // Two steps, because putting a key together per device costs more than the second look.
  const kind = names.length === 0 ? platform : `${platform}${JSON.stringify(headers)}`;
  let bodies = read.get(kind);
  if (bodies === undefined || bodies.size >= mostRead) {
    if (read.size >= mostRead) read.clear();
    bodies = new Map();
    read.set(kind, bodies);
  }
  let known = bodies.get(body);
  if (known === undefined) {
    const values = names.map((name) => [name, textTemplate(headers[name]!)] as const);
    known = { template: compileBody(platform, body, headers), headers: values };
    bodies.set(body, known);
  }
  return known;
}

/** The vendor has names of his own for two of Apple's headers, whose values may be expressions as any header's. */
function appleHeaders({ headers, expiry }: InstallationTemplate): Headers {
  const isVendors = (name: string) => name.toLowerCase() === vendorPriority.toLowerCase();
  const priority = Object.entries(headers).find(([name]) => isVendors(name))?.[1];
  if (priority === undefined && expiry === undefined) return headers;
  return {
    ...(priority === undefined ? {} : { 'apns-priority': priority }),
    ...(expiry === undefined ? {} : { 'apns-expiration': expiry }),
    ...Object.fromEntries(Object.entries(headers).filter(([name]) => !isVendors(name))),
  };
}

const noHeaders: Headers = {};
/** One object for what is equal: whoever groups pushes by their headers compares identities. */
const sameHeaders = new Map<string, Headers>();

function headersOf(platform: Platform, payload: string, own: CompiledHeaders, properties: Properties): Headers {
  if (own.length === 0 && platform !== 'wns') return noHeaders;
  const entries = own.map(([name, value]) => [name, headerText(name, value.render(properties))] as const);
  const headers = { ...typeOfWindows(platform, payload), ...Object.fromEntries(entries) };
  const key = JSON.stringify(headers);
  const known = sameHeaders.get(key);
  if (known) return known;
  if (sameHeaders.size >= 1_000) sameHeaders.clear();
  sameHeaders.set(key, headers);
  return headers;
}

/** Apple counts seconds since 1970; the vendor's clients write a time. What is neither goes out as it is, and is refused there. */
function headerText(name: string, text: string): string {
  if (name !== 'apns-expiration' || /^\d*$/.test(text)) return text;
  const time = Date.parse(text);
  return Number.isNaN(time) ? text : String(Math.floor(time / 1000));
}

function typeOfWindows(platform: Platform, payload: string): Headers {
  const type = platform === 'wns' ? windowsType(payload, {}) : undefined;
  return type === undefined ? {} : { 'X-WNS-Type': type };
}
