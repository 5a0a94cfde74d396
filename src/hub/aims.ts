// From a send and a device to pushes: a native send goes once to each address of its platform, a template send once per
// template. Pure, but for the memory of templates that were read before. A broadcast comes through here for every device,
// so what is the same for all of them (the send's properties put into the template, its headers) is made once.

import { type Aim, type AimKind, AimList, type Headers } from './aim-list.ts';
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
import type { PushPage } from './push-page.ts';
import { RowProperties } from './short-rows.ts';
import { canonicalTag, matchesTags, type TagExpression } from './tags.ts';
import { sentProperties, type Template, textTemplate, withVariables } from './template.ts';
import type { Properties } from './template-expression.ts';

type Native = {
  readonly kind: 'native';
  readonly platform: Platform;
  readonly body: string;
  readonly headers: Headers;
};
export type Message = Native | { readonly kind: 'template'; readonly properties: Readonly<Record<string, unknown>> };
export type Templates = Readonly<Record<string, InstallationTemplate>>;

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
  const aims = new AimList();
  new Aimer(message, expression).take(device, aims);
  return aims.all();
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

type AimedPlace = Pick<Place, 'tile' | 'templates' | 'tags'> & { readonly platform: InstallationPlatform };

/** A template with the properties of one send in it. */
type Filled = {
  readonly name: string;
  readonly template: Template;
  /** The payload, where it looks at nothing of the device. */
  readonly payload: string | undefined;
  readonly headers: CompiledHeaders;
  readonly tags: readonly string[];
  /** Of its pushes to the device itself, where their headers are the same for all. */
  readonly kind: AimKind | undefined;
};

export class Aimer {
  readonly #message: Message;
  readonly #expression: TagExpression | undefined;
  readonly #sent: ReadonlyMap<string, string>;
  readonly #filled = new Map<Template, Pick<Filled, 'template' | 'payload'>>();
  /** By the templates of devices that share them; on each platform they mean something else. */
  readonly #sets = new Map<InstallationPlatform, WeakMap<Templates, readonly Filled[]>>();
  /** The last one of a native send. */
  #native: AimKind | undefined;

  constructor(message: Message, expression: TagExpression | undefined) {
    this.#message = message;
    this.#expression = expression;
    this.#sent = sentProperties(message.kind === 'template' ? message.properties : {});
  }

  /** Adds the pushes to the devices in the rows `from` to `to` of a page. */
  takeRows(page: PushPage, from: number, to: number, aims: AimList): void {
    const { rows } = page;
    const properties = new RowProperties(this.#sent, rows);
    for (let row = from; row < to; row += 1) {
      const templates = rows.isPlain(row) ? page.templatesOf(rows.appAt(row)) : undefined;
      if (templates === undefined) {
        const device = page.deviceAt(row);
        if (device !== undefined) this.take(device, aims);
        continue;
      }
      const { platform } = rows.apps[rows.appAt(row)]!;
      if (!this.#reaches(platform, page.kindAt(row), templates)) continue;
      properties.moveTo(row);
      aims.aimAtBytes(rows.bytes, rows.idStart(row), rows.idEnd(row), rows.addressStart(row), rows.addressEnd(row));
      this.#takePlace({ platform, tile: '', templates, tags: page.tagsAt(row) }, properties, aims);
    }
  }

  /** Adds the pushes to `device` to `aims`. */
  take({ id, kind, platform, variables, places }: AimDevice, aims: AimList): void {
    const properties = withVariables(this.#sent, variables);
    for (const { tile, address, handle, templates, tags } of places) {
      if (!this.#reaches(platform, kind, templates)) continue;
      aims.aimAt(id, handle, address);
      this.#takePlace({ platform, tile, templates, tags }, properties, aims);
    }
  }

  #reaches(platform: InstallationPlatform, kind: AimDevice['kind'], templates: Templates): boolean {
    const message = this.#message;
    if (message.kind === 'template') return pushPlatform(platform) !== undefined;
    // A registration with a template is for template sends only.
    return message.platform === platform && (kind === 'installation' || Object.keys(templates).length === 0);
  }

  /** The pushes to what `aims` are aimed at. */
  #takePlace(place: AimedPlace, properties: Properties, aims: AimList): void {
    const message = this.#message;
    if (message.kind === 'template') this.#takeTemplates(place, properties, aims);
    else if (this.#means(place.tags)) aims.addText(this.#kindOfNative(message, place.tile), message, message.body);
  }

  #takeTemplates({ platform, tile, templates, tags }: AimedPlace, properties: Properties, aims: AimList): void {
    for (const filled of this.#filledOf(platform, templates)) {
      const { template, payload, tags: own } = filled;
      if (this.#expression !== undefined && !this.#means(own.length === 0 ? tags : [...tags, ...own])) continue;
      if (tile === '' && filled.kind !== undefined && payload === undefined) {
        const start = aims.bytes.length;
        template.write(properties, aims.bytes);
        aims.add(filled.kind, template, start);
      } else {
        const text = payload ?? template.render(properties);
        aims.addText(kindOf(platform, tile, filled, text, properties), template, text);
      }
    }
  }

  #kindOfNative({ platform, headers }: Native, tile: string): AimKind {
    if (this.#native?.part !== tile) this.#native = { platform, headers, part: tile };
    return this.#native;
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
      filled = Object.entries(templates).map(([name, each]) => this.#fill(platform, name, each));
      sets.set(templates, filled);
    }
    return filled;
  }

  #fill(platform: InstallationPlatform, name: string, given: InstallationTemplate): Filled {
    const { template, headers } = compiled(platform, given);
    const content = this.#contentOf(template);
    const ownHeaders = headers.map(([header, value]) => [header, value.fill(this.#sent)] as const);
    const isSteady = platform !== 'wns' && ownHeaders.every(([, value]) => value.names.size === 0);
    const to = pushPlatform(platform);
    const kind =
      isSteady && to !== undefined
        ? { platform: to, headers: headersOf(to, '', ownHeaders, this.#sent), part: name }
        : undefined;
    return { name, headers: ownHeaders, tags: given.tags.map(canonicalTag), kind, ...content };
  }

  #contentOf(template: Template): Pick<Filled, 'template' | 'payload'> {
    let content = this.#filled.get(template);
    if (content === undefined) {
      const own = template.fill(this.#sent);
      content = { template: own, payload: own.names.size === 0 ? own.render(this.#sent) : undefined };
      if (this.#filled.size >= mostRead) this.#filled.clear();
      this.#filled.set(template, content);
    }
    return content;
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

function kindOf(
  platform: InstallationPlatform,
  tile: string,
  { name, headers, kind }: Filled,
  payload: string,
  properties: Properties,
): AimKind {
  if (tile === '' && kind !== undefined) return kind;
  const part = tile === '' ? name : `${tile}/${name}`;
  // Who comes here can be pushed to.
  const to = pushPlatform(platform)!;
  return { platform: to, headers: kind?.headers ?? headersOf(to, payload, headers, properties), part };
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
