// Tags and tag expressions, with the grammar and the limits of Azure Notification Hubs.
//
//   expr := and ('||' and)*      and := not ('&&' not)*      not := '!' not | '(' expr ')' | tag
//   tag  := [-_@#.:\w]{1,120} | ('$' | nothing) ('UserId' | 'InstallationId') ':{' [-_@#.:=\w]+ '}'
//
// Tags compare without regard to case. An installation carries `$InstallationId:{its id}` and `$UserId:{its user}` without being told to.

import { Refusal } from '../kit/refusal.ts';

export type TagExpression =
  | { readonly kind: 'tag'; readonly tag: string }
  | { readonly kind: 'not'; readonly of: TagExpression }
  | { readonly kind: 'and' | 'or'; readonly of: readonly TagExpression[] };

export type TagLimits = {
  readonly tagsPerDevice: number;
  readonly tagLength: number;
  /** In an expression that only joins by `||`. */
  readonly tagsInOrExpression: number;
  readonly tagsInExpression: number;
};

/** For what was checked when it came in. */
export const noTagLimits: TagLimits = {
  tagsPerDevice: Number.POSITIVE_INFINITY,
  tagLength: Number.POSITIVE_INFINITY,
  tagsInOrExpression: Number.POSITIVE_INFINITY,
  tagsInExpression: Number.POSITIVE_INFINITY,
};

/** Azure's own. */
export const azureTagLimits: TagLimits = {
  tagsPerDevice: 60,
  tagLength: 120,
  tagsInOrExpression: 20,
  tagsInExpression: 6,
};

const plainTag = /^[-_@#.:\w]+$/;
const specialTag = /^\$?(UserId|InstallationId):\{([-_@#.:=\w]+)\}$/i;
const token = /\s*(\|\||&&|!|\(|\)|\$?(?:UserId|InstallationId):\{[-_@#.:=\w]+\}|[-_@#.:\w]+)/iy;
/** What may stand between the braces of a special tag. */
const idPattern = /^[-_@#.:=\w]{1,256}$/;
/** Parentheses and `!` may nest so deep; a longer chain is an attack, not a question. */
const maxDepth = 100;

export function userTag(userId: string): string {
  return canonicalTag(`$UserId:{${userId}}`);
}

export function installationTag(installationId: string): string {
  return canonicalTag(`$InstallationId:{${installationId}}`);
}

/** The form in which tags are stored and compared. */
export function canonicalTag(tag: string): string {
  const special = specialTag.exec(tag);
  return special === null ? tag.toLowerCase() : `$${special[1]}:{${special[2]}}`.toLowerCase();
}

/** Checks the tags of one device and returns them without repetitions, as they were written. Throws Refusal('bad_request'). */
export function checkTags(tags: readonly string[], limits: TagLimits = azureTagLimits): string[] {
  const kept = new Map<string, string>();
  for (const tag of tags) {
    if (!plainTag.test(tag) && !specialTag.test(tag))
      throw invalid(`The tag "${tag}" holds a character that tags may not have.`);
    if (isTooLong(tag, limits)) throw invalid(`A tag has at most ${limits.tagLength} characters.`);
    if (!kept.has(canonicalTag(tag))) kept.set(canonicalTag(tag), tag);
  }
  if (kept.size > limits.tagsPerDevice) throw invalid(`A device has at most ${limits.tagsPerDevice} tags.`);
  for (const kind of ['$userid:', '$installationid:'])
    if ([...kept.keys()].filter((tag) => tag.startsWith(kind)).length > 1)
      throw invalid('A device has one user and one installation id.');
  return [...kept.values()];
}

/** Of an installation or of its user: they become tags. Throws Refusal('bad_request'). */
export function checkId(id: string, name: string): string {
  if (idPattern.test(id)) return id;
  const shown = id.length > 60 ? `${id.slice(0, 60)}…` : id;
  throw invalid(`${name} "${shown}" is not 1 to 256 letters, digits and - _ @ # . : =`);
}

/** The limit is that of words which people choose; ids have their own. */
function isTooLong(tag: string, limits: TagLimits): boolean {
  const id = specialTag.exec(tag)?.[2];
  return id === undefined ? tag.length > limits.tagLength : !idPattern.test(id);
}

/** Throws Refusal('bad_request') with the position of what is wrong. */
export function parseTagExpression(text: string, limits: TagLimits = azureTagLimits): TagExpression {
  const tokens = tokenize(text);
  const state = { tokens, at: 0, depth: 0 };
  const expression = parseOr(state);
  if (state.at < tokens.length) throw unexpected(tokens[state.at]);
  checkLimits(tokens, limits);
  return expression;
}

/** Whether a device with these canonical tags is meant. */
export function matchesTags(expression: TagExpression, tags: ReadonlySet<string>): boolean {
  switch (expression.kind) {
    case 'tag':
      return tags.has(expression.tag);
    case 'not':
      return !matchesTags(expression.of, tags);
    case 'and':
      return expression.of.every((part) => matchesTags(part, tags));
    case 'or':
      return expression.of.some((part) => matchesTags(part, tags));
  }
}

/**
 * Sets of tags, of each of which every match has at least one: what an index can look up. None when there are none (`!x` is true of
 * devices without any tag). A match has them all, but not everything that has them matches.
 */
export function anchorTags(expression: TagExpression): readonly (readonly string[])[] {
  if (expression.kind === 'tag') return [[expression.tag]];
  if (expression.kind === 'not') return anchorsOfNegation(expression.of);
  const parts = expression.of.map(anchorTags);
  return expression.kind === 'and' ? parts.flat() : anchorsOfAny(parts);
}

/** One set of each alternative, together: the shortest, for it is most likely the most selective. */
function anchorsOfAny(parts: readonly (readonly (readonly string[])[])[]): readonly (readonly string[])[] {
  const shortest = parts.map((sets) => sets.toSorted((a, b) => a.length - b.length)[0]);
  return shortest.every((set) => set !== undefined) ? [[...new Set(shortest.flat())]] : [];
}

/** De Morgan: a negated negation has anchors again. */
function anchorsOfNegation(of: TagExpression): readonly (readonly string[])[] {
  if (of.kind === 'tag') return [];
  if (of.kind === 'not') return anchorTags(of.of);
  return anchorTags({ kind: of.kind === 'and' ? 'or' : 'and', of: of.of.map((part) => ({ kind: 'not', of: part })) });
}

type Token = { readonly text: string; readonly at: number };
type State = { readonly tokens: readonly Token[]; at: number; depth: number };

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  for (token.lastIndex = 0; token.lastIndex < end; ) {
    const from = token.lastIndex;
    const found = token.exec(text);
    if (found === null) throw invalid(`The tag expression is not valid at character ${from + 1}.`, from);
    tokens.push({ text: found[1]!, at: token.lastIndex - found[1]!.length });
  }
  return tokens;
}

function parseOr(state: State): TagExpression {
  return parseChain(state, 'or', '||', (inner) => parseChain(inner, 'and', '&&', parseNot));
}

function parseChain(
  state: State,
  kind: 'and' | 'or',
  operator: string,
  parse: (state: State) => TagExpression,
): TagExpression {
  const of = [parse(state)];
  while (state.tokens[state.at]?.text === operator) {
    state.at += 1;
    of.push(parse(state));
  }
  return of.length === 1 ? of[0]! : { kind, of };
}

function parseNot(state: State): TagExpression {
  const next = state.tokens[state.at];
  state.at += 1;
  if (next === undefined || [')', '||', '&&'].includes(next.text)) throw unexpected(next);
  if (next.text !== '!' && next.text !== '(') return { kind: 'tag', tag: canonicalTag(next.text) };
  state.depth += 1;
  if (state.depth > maxDepth) throw invalid('The tag expression nests too deep.', next.at);
  const of = next.text === '!' ? parseNot(state) : parseParenthesis(state);
  state.depth -= 1;
  return next.text === '!' ? { kind: 'not', of } : of;
}

function parseParenthesis(state: State): TagExpression {
  const expression = parseOr(state);
  const close = state.tokens[state.at];
  if (close?.text !== ')') throw unexpected(close);
  state.at += 1;
  return expression;
}

function checkLimits(tokens: readonly Token[], limits: TagLimits): void {
  const tags = tokens.filter(({ text }) => !['||', '&&', '!', '(', ')'].includes(text));
  const long = tags.find(({ text }) => isTooLong(text, limits));
  if (long !== undefined) throw invalid(`A tag has at most ${limits.tagLength} characters.`, long.at);
  const onlyOr = !tokens.some(({ text }) => text === '&&' || text === '!');
  const most = onlyOr ? limits.tagsInOrExpression : limits.tagsInExpression;
  if (tags.length > most) throw invalid(`A tag expression of this kind has at most ${most} tags.`);
}

function unexpected(token: Token | undefined): Refusal {
  return token === undefined
    ? invalid('The tag expression ends too early.')
    : invalid(`"${token.text}" is not expected at character ${token.at + 1} of the tag expression.`, token.at);
}

function invalid(message: string, position?: number): Refusal {
  return new Refusal('bad_request', message, position === undefined ? {} : { position });
}
