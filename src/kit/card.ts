// The neutral card: what a notice says, written once. Every surface (inbox, mail, conversation, push text) renders the
// same card, so it holds plain text only: a renderer escapes, it never sanitises. Sizes: 24 KiB as JSON, so that the
// card fits the narrowest surface (webhooks and Teams workflows take 28 KB) together with its envelope.
import { Refusal } from './refusal.ts';

export type Card = {
  readonly title: string;
  /** Plain text; may have several lines. */
  readonly body?: string;
  readonly facts?: readonly Fact[];
  /** Absolute http(s) address of the thing that the card is about. */
  readonly link?: CardLink;
  /** What the recipient may answer; at most 6. */
  readonly actions?: readonly CardAction[];
  /**
   * An Adaptive Card 1.5 that surfaces with a renderer for it show instead; the fields above stay its text twin. What is
   * here is checked and cleaned by `assistant/cards/raw`, before it is stored.
   */
  readonly adaptiveCard?: AdaptiveCard;
};

/** The JSON of an Adaptive Card; what it may hold says its schema (https://adaptivecards.io/explorer). */
export type AdaptiveCard = Readonly<Record<string, unknown>>;

export type Fact = { readonly label: string; readonly value: string };
export type CardLink = { readonly label: string; readonly url: string };
export type CardAction = {
  readonly id: string;
  readonly label: string;
  readonly style?: 'primary' | 'danger';
  /** The surface asks for a line of text with this answer; without it the answer is refused. */
  readonly askReason?: boolean;
  /** What the card says once somebody gave this answer, such as `Approved`; the label if left out. */
  readonly done?: string;
};

const MAX_CARD_BYTES = 24 * 1024;

/** Checks what a definition returned. Throws `card_invalid` with the path; drops fields it does not know. */
export function parseCard(value: unknown): Card {
  const given = record(value, 'card');
  const card: Card = {
    title: text(given.title, 'title', 250),
    ...(given.body !== undefined && { body: text(given.body, 'body', 8_000, true) }),
    ...(given.facts !== undefined && { facts: list(given.facts, 'facts', 30).map(parseFact) }),
    ...(given.link !== undefined && { link: parseLink(given.link) }),
    ...(given.actions !== undefined && { actions: parseActions(given.actions) }),
    ...(given.adaptiveCard !== undefined && { adaptiveCard: record(given.adaptiveCard, 'adaptiveCard') }),
  };
  return card;
}

/** The card as the JSON that is stored. Throws `card_invalid` when it is larger than 24 KiB. */
export function cardJson(card: Card): string {
  const json = JSON.stringify(card);
  if (json.length > MAX_CARD_BYTES || (json.length * 3 > MAX_CARD_BYTES && Buffer.byteLength(json) > MAX_CARD_BYTES)) {
    throw invalid('card', `has more than ${MAX_CARD_BYTES} bytes`);
  }
  return json;
}

function parseFact(value: unknown, index: number): Fact {
  const at = `facts[${index}]`;
  const given = record(value, at);
  // A renderer of Adaptive Cards shows a number as nothing, so numbers become text here, once for all surfaces.
  const shown = typeof given.value === 'number' ? String(given.value) : given.value;
  return { label: text(given.label, `${at}.label`, 200), value: text(shown, `${at}.value`, 2_000, true) };
}

function parseLink(value: unknown): CardLink {
  const given = record(value, 'link');
  const url = text(given.url, 'link.url', 2_000);
  const parsed = URL.parse(url);
  if (parsed?.protocol !== 'https:' && parsed?.protocol !== 'http:') {
    throw invalid('link.url', 'must be an absolute http or https address');
  }
  return { label: text(given.label, 'link.label', 200), url };
}

function parseActions(value: unknown): CardAction[] {
  const actions = list(value, 'actions', 6).map(parseAction);
  const repeated = actions.find(({ id }, index) => actions.findIndex((other) => other.id === id) < index);
  if (repeated) throw invalid('actions', `has the id ${repeated.id} twice`);
  return actions;
}

function parseAction(value: unknown, index: number): CardAction {
  const at = `actions[${index}]`;
  const given = record(value, at);
  const style = given.style;
  if (style !== undefined && style !== 'primary' && style !== 'danger') {
    throw invalid(`${at}.style`, "must be 'primary' or 'danger'");
  }
  return {
    id: actionId(given.id, `${at}.id`),
    label: text(given.label, `${at}.label`, 75),
    ...(style !== undefined && { style }),
    ...(given.askReason === true && { askReason: true }),
    ...(given.done !== undefined && { done: text(given.done, `${at}.done`, 75) }),
  };
}

/** It goes into addresses, and into the buttons of every surface. */
function actionId(value: unknown, at: string): string {
  const id = text(value, at, 64);
  if (!/^[\w.:-]+$/.test(id)) throw invalid(at, 'must be letters, digits or . _ : -');
  return id;
}

function record(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(at, 'must be an object');
  return value as Record<string, unknown>; // true: a non-null object that is no array
}

function list(value: unknown, at: string, max: number): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid(at, 'must be a list');
  if (value.length > max) throw invalid(at, `has more than ${max} entries`);
  return value;
}

function text(value: unknown, at: string, max: number, mayBeEmpty = false): string {
  if (typeof value !== 'string') throw invalid(at, 'must be text');
  if (value.length > max) throw invalid(at, `has more than ${max} characters`);
  if (value === '' && !mayBeEmpty) throw invalid(at, 'must not be empty');
  // PostgreSQL's text has no NUL, and a lone surrogate has no UTF-8.
  if (value.includes('\0') || !value.isWellFormed()) throw invalid(at, 'has a character that cannot be stored');
  return value;
}

function invalid(at: string, what: string): Refusal {
  return new Refusal('card_invalid', `The card is not valid: ${at} ${what}.`, { path: at });
}
