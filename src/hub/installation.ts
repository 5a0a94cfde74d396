// Installations: a device as Azure's clients describe it, read from JSON, patched with their subset of JSON Patch, and checked whole each
// time. Pure: no storage, no wire. Unknown members are ignored, nulls count as absent (.NET writes them).

import { Refusal } from '../kit/refusal.ts';
import { windowsType } from './message.ts';
import { canonicalTag, checkId, checkTags, installationTag, type TagLimits, userTag } from './tags.ts';
import { jsonTemplate, type Template, textTemplate, xmlTemplate } from './template.ts';

export const platforms = ['apns', 'wns', 'mpns', 'adm', 'gcm', 'fcm', 'fcmv1', 'baidu', 'browser', 'xiaomi'] as const;
export type InstallationPlatform = (typeof platforms)[number];

/** A push address: a token or URL; of a browser its subscription. */
export type PushChannel = string | { readonly endpoint: string; readonly p256dh: string; readonly auth: string };

export type InstallationTemplate = {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly expiry?: string;
  readonly tags: readonly string[];
};

export type SecondaryTile = {
  readonly pushChannel: string;
  readonly tags: readonly string[];
  readonly templates: Readonly<Record<string, InstallationTemplate>>;
};

export type Installation = {
  readonly installationId: string;
  readonly userId?: string;
  readonly platform: InstallationPlatform;
  readonly pushChannel: PushChannel;
  readonly tags: readonly string[];
  readonly templates: Readonly<Record<string, InstallationTemplate>>;
  readonly pushVariables: Readonly<Record<string, string>>;
  readonly secondaryTiles: Readonly<Record<string, SecondaryTile>>;
  /** Of a registration for a tile: what its app calls that. */
  readonly secondaryTileName?: string;
  readonly expirationTime?: Date;
};

export type PatchOperation = {
  readonly op: 'add' | 'remove' | 'replace';
  readonly path: string;
  readonly value?: unknown;
};

type Members = Readonly<Record<string, unknown>>;

/** What an Apple template calls its priority, beside headers of Apple's own. */
export const vendorPriority = 'X-Apns-Priority';
const maxTemplateNameLength = 200;
const maxAddressLength = 4096;
const patchable = ['tags', 'pushChannel', 'userId', 'expirationTime', 'pushVariables', 'templates', 'secondaryTiles'];

/** Throws Refusal('bad_request'). `id`, where given, is the one in the request's path and must not differ. */
export function parseInstallation(value: unknown, id?: string, limits?: TagLimits): Installation {
  const given = members(value, 'The installation');
  const installationId = text(given.installationId ?? id, 'installationId');
  if (id !== undefined && installationId !== id)
    throw invalid('installationId differs from the address of the request.');
  checkId(installationId, 'installationId');
  const platform = parsePlatform(given.platform);
  const userId = optionalText(given.userId, 'userId');
  if (userId !== undefined) checkId(userId, 'userId');
  const tileName = optionalText(given.secondaryTileName, 'secondaryTileName');
  const expirationTime = parseTime(given.expirationTime);
  return {
    installationId,
    ...(userId === undefined ? {} : { userId }),
    platform,
    pushChannel: parseChannel(platform, given.pushChannel),
    tags: checkTags(texts(given.tags, 'tags'), limits),
    templates: parseTemplates(platform, given.templates, limits),
    pushVariables: textMap(given.pushVariables, 'pushVariables'),
    secondaryTiles: mapOf(given.secondaryTiles, 'secondaryTiles', (tile, name) =>
      parseTile(platform, tile, name, limits),
    ),
    ...(tileName === undefined ? {} : { secondaryTileName: tileName }),
    ...(expirationTime === undefined ? {} : { expirationTime }),
  };
}

/** Applies all operations or none. Throws Refusal('bad_request'). */
export function patchInstallation(installation: Installation, operations: unknown, limits?: TagLimits): Installation {
  if (!Array.isArray(operations)) throw invalid('A patch is an array of operations.');
  const whole = structuredClone(installation) as unknown as Record<string, unknown>;
  for (const operation of operations) apply(whole, parseOperation(operation));
  return parseInstallation(whole, installation.installationId, limits);
}

/** The canonical tags by which a native push (no name) or one named template finds this device. */
export function tagsOf(installation: Installation, templateName?: string): ReadonlySet<string> {
  const { tags, userId, installationId, templates } = installation;
  const own = templateName === undefined ? [] : (templates[templateName]?.tags ?? []);
  const implicit =
    userId === undefined ? [installationTag(installationId)] : [installationTag(installationId), userTag(userId)];
  return new Set([...tags.map(canonicalTag), ...own.map(canonicalTag), ...implicit]);
}

/** A template's body in the form of its platform. Windows' raw pushes are plain text. Throws Refusal('bad_request'). */
export function compileBody(platform: InstallationPlatform, body: string, headers: Members = {}): Template {
  if (platform !== 'wns' && platform !== 'mpns') return jsonTemplate(body);
  return windowsType(body, headers) === 'wns/raw' ? rawTemplate(body) : xmlTemplate(body);
}

/** A raw push may be JSON, XML or anything else. */
function rawTemplate(body: string): Template {
  const start = body.trimStart()[0];
  if (start === '{' || start === '[') return jsonTemplate(body);
  return start === '<' ? xmlTemplate(body) : textTemplate(body);
}

function parsePlatform(value: unknown): InstallationPlatform {
  const name = text(value, 'platform').toLowerCase();
  const platform = platforms.find((each) => each === name);
  if (platform === undefined) throw invalid(`There is no platform "${name}".`);
  return platform;
}

/** Browsers: JavaScript clients send an object, .NET the same as a JSON text. */
function parseChannel(platform: InstallationPlatform, value: unknown): PushChannel {
  if (platform !== 'browser') return address(value, 'pushChannel');
  const given = members(parsedObject(value) ?? value, 'The pushChannel of a browser');
  return {
    endpoint: address(given.endpoint, 'endpoint'),
    p256dh: address(given.p256dh, 'p256dh'),
    auth: address(given.auth, 'auth'),
  };
}

/** No push service gives out one that is longer, or has a zero character, which PostgreSQL could not keep. */
function address(value: unknown, name: string): string {
  const given = text(value, name);
  if (given.length > maxAddressLength) throw invalid(`${name} has at most ${maxAddressLength} characters.`);
  if (given.includes('\u0000')) throw invalid(`${name} must not contain a zero character.`);
  return given;
}

function parseTemplates(
  platform: InstallationPlatform,
  value: unknown,
  limits?: TagLimits,
): Record<string, InstallationTemplate> {
  return mapOf(value, 'templates', (template, name) => parseTemplate(platform, template, name, limits));
}

function parseTemplate(
  platform: InstallationPlatform,
  value: unknown,
  name: string,
  limits?: TagLimits,
): InstallationTemplate {
  checkName(name, 'A template name');
  const given = members(parsedObject(value) ?? value, `The template "${name}"`);
  const body = text(given.body, `templates.${name}.body`);
  const headers = textMap(given.headers, `templates.${name}.headers`);
  const expiry = optionalText(given.expiry, `templates.${name}.expiry`);
  compileBody(platform, body, headers);
  if (platform === 'wns' && windowsType(body, headers) === undefined)
    throw invalid(`The template "${name}" needs the header X-WNS-Type: its body is no toast, tile or badge.`);
  for (const expression of [...Object.values(headers), expiry ?? '']) textTemplate(expression);
  return {
    body,
    headers,
    ...(expiry === undefined ? {} : { expiry }),
    tags: checkTags(texts(given.tags, `templates.${name}.tags`), limits),
  };
}

function parseTile(platform: InstallationPlatform, value: unknown, name: string, limits?: TagLimits): SecondaryTile {
  checkName(name, 'The name of a tile');
  const given = members(parsedObject(value) ?? value, `The secondary tile "${name}"`);
  return {
    pushChannel: address(given.pushChannel, `secondaryTiles.${name}.pushChannel`),
    tags: checkTags(texts(given.tags, `secondaryTiles.${name}.tags`), limits),
    templates: parseTemplates(platform, given.templates, limits),
  };
}

/** It is written down with what became of a push. */
function checkName(name: string, what: string): void {
  if (name.length > maxTemplateNameLength) throw invalid(`${what} has at most ${maxTemplateNameLength} characters.`);
  if (/\p{Cc}/u.test(name)) throw invalid(`${what} has no control characters.`);
}

/** `9999-12-31...` means never, with however many digits. */
function parseTime(value: unknown): Date | undefined {
  const written = optionalText(value instanceof Date ? value.toISOString() : value, 'expirationTime');
  if (written === undefined || written.startsWith('9999')) return undefined;
  const time = new Date(written);
  if (Number.isNaN(time.getTime())) throw invalid('expirationTime is no time.');
  return time;
}

function parseOperation(value: unknown): PatchOperation {
  const { op, path, value: content } = members(value, 'An operation of the patch');
  if (op !== 'add' && op !== 'remove' && op !== 'replace') throw invalid('op must be add, remove or replace.');
  if (typeof path !== 'string' || !path.startsWith('/')) throw invalid('path must begin with "/".');
  return { op, path, value: content };
}

function apply(whole: Record<string, unknown>, { op, path, value }: PatchOperation): void {
  const steps = path
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (!patchable.includes(steps[0]!)) throw invalid(`The path "${path}" cannot be patched.`);
  if (steps.some((step) => step === '' || step === '__proto__')) throw invalid(`The path "${path}" is not valid.`);
  const last = steps.pop()!;
  const holder = steps.reduce((inside: unknown, step) => stepInto(inside, step, path), whole);
  if (Array.isArray(holder)) changeList(holder, op, last, path);
  else changeMember(holder as Record<string, unknown>, op, last, value);
}

function stepInto(inside: unknown, step: string, path: string): unknown {
  const holder = inside as Record<string, unknown>;
  if (!Object.hasOwn(holder, step)) throw invalid(`There is nothing at "${path}".`);
  const next = parsedObject(holder[step]) ?? holder[step];
  if (typeof next !== 'object' || next === null) throw invalid(`There is nothing at "${path}".`);
  holder[step] = next;
  return next;
}

/** Tags are removed by value: `/tags/vip`. */
function changeList(list: unknown[], op: PatchOperation['op'], tag: string, path: string): void {
  if (op !== 'remove') throw invalid(`Only a removal can name the tag in "${path}".`);
  const at = list.findIndex((each) => canonicalTag(String(each)) === canonicalTag(tag));
  if (at >= 0) list.splice(at, 1);
}

/** `add /tags` appends the one tag that it brings; everything else sets the member. */
function changeMember(holder: Record<string, unknown>, op: PatchOperation['op'], name: string, value: unknown): void {
  if (op === 'remove') delete holder[name];
  else if (name !== 'tags') holder[name] = value;
  else {
    const brought = Array.isArray(value) ? value : (parsedList(value) ?? [value]);
    const kept = op === 'add' && Array.isArray(holder.tags) ? (holder.tags as unknown[]) : [];
    holder.tags = [...kept, ...brought];
  }
}

/** What a text says that is the JSON of an object. */
export function parsedObject(value: unknown): object | undefined {
  if (typeof value !== 'string' || !value.trimStart().startsWith('{')) return undefined;
  try {
    return JSON.parse(value) as object;
  } catch {
    return undefined;
  }
}

function parsedList(value: unknown): unknown[] | undefined {
  if (typeof value !== 'string' || !value.startsWith('[')) return undefined;
  try {
    return JSON.parse(value) as unknown[];
  } catch {
    return undefined;
  }
}

function members(value: unknown, what: string): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${what} must be an object.`);
  // Checked in the line before.
  return value as Members;
}

function text(value: unknown, name: string): string {
  if (typeof value !== 'string' || value === '') throw invalid(`${name} must be a text.`);
  return value;
}

function optionalText(value: unknown, name: string): string | undefined {
  return value === undefined || value === null || value === '' ? undefined : text(value, name);
}

function texts(value: unknown, name: string): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid(`${name} must be a list.`);
  return value.map((each) => text(each, name));
}

function textMap(value: unknown, name: string): Record<string, string> {
  return mapOf(parsedObject(value) ?? value, name, (each, key) => {
    if (typeof each === 'object') throw invalid(`${name}.${key} must be a text.`);
    return String(each);
  });
}

function mapOf<T>(value: unknown, name: string, parse: (value: unknown, name: string) => T): Record<string, T> {
  if (value === undefined || value === null) return {};
  const given = Object.entries(members(value, name)).filter(([, each]) => each !== undefined && each !== null);
  return Object.fromEntries(given.map(([key, each]) => [key, parse(each, key)]));
}

function invalid(message: string): Refusal {
  return new Refusal('bad_request', message);
}
