// Checks an Adaptive Card that an author wrote and makes a clean one of it: a new object that holds only what the schema
// knows, with texts that hide neither HTML nor images nor links to anything but http, https, mailto and tel. Errors name
// the path, such as `adaptiveCard.body[2].items[0].url`.
import type { AdaptiveCard, CardAction } from '../../../kit/card.ts';
import { isRecord } from '../../../kit/record.ts';
import { Refusal } from '../../../kit/refusal.ts';
import { reservedInputs } from '../answer-data.ts';
import { tame } from '../markdown.ts';
import { type CardPolicy, defaultPolicy } from '../policy.ts';
import { safeImage, safeLink, safeMedia } from './addresses.ts';
import { answerTypes, inputTypes, type Kind, shapes, untyped } from './schema.ts';

export type Parsed = {
  readonly card: AdaptiveCard;
  /** What its buttons answer, in order. */
  readonly actions: readonly CardAction[];
  /** The ids of its inputs. */
  readonly inputs: ReadonlySet<string>;
};

type Thing = Record<string, unknown>;
type Walk = {
  readonly policy: CardPolicy;
  readonly actions: CardAction[];
  readonly inputs: Set<string>;
  buttons: number;
};

const NAME = /^[\w.:\-/+]{1,100}$/;
const VERSION = /^1\.[0-5]$/;
/** These hold others: they are what depth counts. */
const MAX_NODES = 2_000;

/** Throws `card_invalid` with the path of the first fault. */
export function parseAdaptiveCard(given: unknown, policy: CardPolicy = defaultPolicy): Parsed {
  const at = 'adaptiveCard';
  const source = plainJson(given, policy);
  if (source.type !== 'AdaptiveCard') throw invalid(`${at}.type`, 'must be AdaptiveCard');
  if (typeof source.version !== 'string' || !VERSION.test(source.version)) {
    throw invalid(`${at}.version`, 'must be 1.0 to 1.5, which all surfaces show');
  }
  const walk: Walk = { policy, actions: [], inputs: new Set(), buttons: 0 };
  const card = parseThing(source, ['AdaptiveCard'], at, walk, 0);
  // Made longer by what breaks tags, perhaps; the stored form has to fit as well.
  if (Buffer.byteLength(JSON.stringify(card)) > policy.maxBytes * 2)
    throw invalid(at, 'is too large once it is cleaned');
  return { card: { ...card, version: '1.5' }, actions: walk.actions, inputs: walk.inputs };
}

/** What JSON makes of it: no getters, no cycles, no objects of classes. */
function plainJson(given: unknown, policy: CardPolicy): Thing {
  let text: string | undefined;
  try {
    text = JSON.stringify(given);
  } catch (error) {
    throw invalid('adaptiveCard', `is no JSON (${(error as Error).message.split('\n')[0]})`);
  }
  const bytes = Buffer.byteLength(text ?? '');
  if (bytes > policy.maxBytes) throw invalid('adaptiveCard', `has ${bytes} bytes; the limit is ${policy.maxBytes}`);
  const source: unknown = text === undefined ? undefined : JSON.parse(text);
  if (!isRecord(source)) throw invalid('adaptiveCard', 'must be an object');
  return source;
}

function parseThing(given: unknown, types: readonly string[], at: string, walk: Walk, depth: number): Thing {
  if (!isRecord(given)) throw invalid(at, 'must be an object');
  if (depth > walk.policy.maxDepth) throw invalid(at, `is nested more than ${walk.policy.maxDepth} deep`);
  const type = typeOf(given, types, at);
  const { properties, required = [] } = shapes[type]!;
  const thing: Thing = { type };
  for (const [name, value] of Object.entries(given)) {
    if (name === 'type') continue;
    const kind = Object.hasOwn(properties, name) ? properties[name]! : undefined;
    if (kind === undefined) throw invalid(`${at}.${name.slice(0, 50)}`, `is no property of ${type} in version 1.5`);
    if (value === null || kind === 'ignored') continue;
    thing[name] = parseValue(value, kind, `${at}.${name}`, walk, depth);
  }
  const missing = required.find((name) => thing[name] === undefined);
  if (missing !== undefined) throw invalid(`${at}.${missing}`, 'is missing');
  if (type.startsWith('Action.')) noteAction(thing, given, at, walk);
  if (inputTypes.includes(type)) noteInput(thing, at, walk);
  return thing;
}

function typeOf(given: Thing, types: readonly string[], at: string): string {
  const { type } = given;
  if (type === undefined && types.length === 1 && untyped.has(types[0]!)) return types[0]!;
  if (typeof type === 'string' && types.includes(type)) return type;
  throw invalid(
    `${at}.type`,
    types.length > 3 ? 'is not one that version 1.5 has there' : `must be ${types.join(' or ')}`,
  );
}

function parseValue(value: unknown, kind: Kind, at: string, walk: Walk, depth: number): unknown {
  if (typeof kind === 'string') return scalars[kind](value, at, walk.policy, walk, depth);
  if ('oneOf' in kind) return oneOf(value, kind.oneOf, at);
  if ('thing' in kind) {
    if (typeof value === 'string' && kind.or) return oneOf(value, kind.or, at);
    // A fallback stands where the other one does: it is no button or input of its own.
    const same = at.endsWith('.fallback') ? { ...walk, actions: [], inputs: new Set<string>(), buttons: 0 } : walk;
    return parseThing(value, kind.thing, at, same, depth + 1);
  }
  if (!Array.isArray(value)) throw invalid(at, 'must be a list');
  if (value.length > MAX_NODES) throw invalid(at, `has more than ${MAX_NODES} entries`);
  return value.map((each, i) =>
    typeof each === 'string' && kind.orText
      ? scalars.text(each, `${at}[${i}]`, walk.policy, walk, depth)
      : parseThing(each, kind.things, `${at}[${i}]`, walk, depth + 1),
  );
}

type Scalar = (value: unknown, at: string, policy: CardPolicy, walk: Walk, depth: number) => unknown;

const scalars: Record<Exclude<Kind, object>, Scalar> = {
  // A renderer shows a number as nothing, so numbers become text.
  text: (value, at) =>
    tame(textOf(typeof value === 'number' || typeof value === 'boolean' ? String(value) : value, at)),
  name: matching(NAME, 'must be 1 to 100 letters, digits or . _ : - / +'),
  flag: (value, at) => typed(value, 'boolean', at, 'must be true or false'),
  number: (value, at) => typed(value, 'number', at, 'must be a number'),
  px: matching(/^\d{1,5}(\.\d{1,3})?(px)?$/, 'must be pixels such as 80px'),
  width: (value, at) =>
    typeof value === 'number'
      ? value
      : matching(/^(auto|stretch|\d{1,5}(\.\d{1,3})?(px)?)$/i, 'must be auto, stretch, a number or pixels')(value, at),
  color: matching(/^#([\da-f]{6}|[\da-f]{8})$/i, 'must be a color such as #ff8800'),
  language: matching(/^[A-Za-z]{2,8}(-[A-Za-z\d]{1,8}){0,3}$/, 'must be a language such as en'),
  date: matching(/^\d{4}-\d\d-\d\d$/, 'must be a date such as 2026-11-22'),
  time: matching(/^\d\d:\d\d$/, 'must be a time such as 08:30'),
  link: (value, at) =>
    safeLink(textOf(value, at)) ?? refuse(at, 'must be an absolute http, https, mailto or tel address'),
  image: (value, at, { images }) => safeImage(textOf(value, at), images) ?? refuse(at, imageWords(images)),
  media: (value, at) => safeMedia(textOf(value, at)) ?? refuse(at, 'must be an absolute https address'),
  background: (value, at, policy, walk, depth) =>
    typeof value === 'string'
      ? scalars.image(value, at, policy, walk, depth)
      : parseThing({ type: 'BackgroundImage', ...(value as object) }, ['BackgroundImage'], at, walk, depth),
  requires: (value, at) => {
    if (!isRecord(value)) throw invalid(at, 'must be an object');
    return Object.fromEntries(
      Object.entries(value).map(([name, version]) => [tame(name), tame(textOf(version, `${at}.${name}`))]),
    );
  },
  targets: (value, at) => {
    if (!Array.isArray(value)) throw invalid(at, 'must be a list');
    return value.map((each, i) => parseTarget(each, `${at}[${i}]`));
  },
  ignored: () => undefined,
};

function parseTarget(value: unknown, at: string): unknown {
  const name = matching(NAME, 'must name an element');
  if (!isRecord(value)) return name(value, at);
  const { elementId, isVisible } = value;
  if (isVisible !== undefined && typeof isVisible !== 'boolean')
    throw invalid(`${at}.isVisible`, 'must be true or false');
  return { elementId: name(elementId, `${at}.elementId`), ...(isVisible !== undefined && { isVisible }) };
}

function noteAction(thing: Thing, given: Thing, at: string, walk: Walk): void {
  if (thing.type !== 'Action.ShowCard' && ++walk.buttons > walk.policy.maxActions) {
    throw invalid(at, `is one button more than the ${walk.policy.maxActions} that a card may have`);
  }
  if (!answerTypes.includes(thing.type as string)) return;
  const id = thing.id ?? (typeof given.verb === 'string' && NAME.test(given.verb) ? given.verb : undefined);
  if (typeof id !== 'string') throw invalid(`${at}.id`, 'is missing: it says which answer the button gives');
  if (id.length > 64) throw invalid(`${at}.id`, 'has more than 64 characters');
  if (walk.actions.some((action) => action.id === id)) throw invalid(`${at}.id`, `is there twice: ${id}`);
  thing.id = id;
  const label =
    typeof thing.title === 'string' && thing.title.trim() !== '' ? thing.title.slice(0, 75).toWellFormed() : id;
  const style = thing.style === 'positive' ? 'primary' : thing.style === 'destructive' ? 'danger' : undefined;
  walk.actions.push({ id, label, ...(style && { style }) });
}

function noteInput(thing: Thing, at: string, walk: Walk): void {
  const id = thing.id as string; // required, and a name
  if (reservedInputs.includes(id)) throw invalid(`${at}.id`, `must not be ${id}, which is taken`);
  if (walk.inputs.has(id)) throw invalid(`${at}.id`, `is there twice: ${id}`);
  // For screen readers, and as renderers want it.
  thing.label ??= thing.title ?? thing.placeholder ?? id;
  if (thing.isRequired === true) thing.errorMessage ??= 'Please fill this in.';
  walk.inputs.add(id);
  if (walk.inputs.size > walk.policy.maxInputs)
    throw invalid(at, `is one input more than the ${walk.policy.maxInputs} that a card may have`);
}

/** In the spelling of the table: renderers take any case. */
function oneOf(value: unknown, words: readonly string[], at: string): string {
  const known =
    typeof value === 'string' ? words.find((word) => word.toLowerCase() === value.toLowerCase()) : undefined;
  return known ?? refuse(at, `must be one of ${words.join(', ')}`);
}

function matching(form: RegExp, words: string): (value: unknown, at: string) => string {
  return (value, at) => (typeof value === 'string' && form.test(value) ? value : refuse(at, words));
}

function typed(value: unknown, type: 'boolean' | 'number', at: string, words: string): unknown {
  return typeof value === type ? value : refuse(at, words);
}

function textOf(value: unknown, at: string): string {
  if (typeof value !== 'string') throw invalid(at, 'must be text');
  if (value.includes('\0') || !value.isWellFormed()) throw invalid(at, 'has a character that cannot be stored');
  return value;
}

function imageWords(images: CardPolicy['images']): string {
  const where =
    images === 'https' ? 'an https address or ' : images === 'embedded' ? '' : `an address at ${images.join(', ')} or `;
  return `must be ${where}a PNG, JPEG or GIF in a data: address`;
}

function refuse(at: string, what: string): never {
  throw invalid(at, what);
}

function invalid(at: string, what: string): Refusal {
  return new Refusal('card_invalid', `The card is not valid: ${at} ${what}.`, { path: at });
}
