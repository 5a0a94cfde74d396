// The neutral card as Slack's Block Kit. Slack refuses a message that breaks one of its limits as a whole, so texts are
// cut to fit, step by step, until the message does. Limits: https://docs.slack.dev/reference/block-kit/blocks; that all
// blocks together may have some 13,000 characters is not written there, but enforced (`msg_blocks_too_long`).
import type { Card, CardAction } from '../../kit/card.ts';
import { type AnswerKey, cardVersion, reasonInput } from './answer-data.ts';
import { type Decision, decisionText, openActions, type Reader } from './decision.ts';
import { type Field, fieldsOf } from './raw/fields.ts';
import { toText } from './text.ts';

export type BlockKitContext = {
  readonly noticeId: string;
  readonly decision?: Decision | undefined;
  readonly reader?: Reader | undefined;
};

/** `text` is what a push and a screen reader say. Both go into `chat.postMessage` and `chat.update` as they are. */
export type BlockKit = { readonly text: string; readonly blocks: readonly unknown[] };

const MAX_BLOCKS_LENGTH = 12_500;
const MAX_TEXT = 3_500;
const HEADER = 150;
const SECTION = 3_000;
const BUTTON = 75;
/** A fact takes two fields of the ten that a section has. */
const FACTS_PER_SECTION = 5;
const MAX_REASON = 2_000;

type Cut = { readonly body: number; readonly facts: number; readonly value: number; readonly fields: boolean };
const CUTS: readonly Cut[] = [
  { body: 8_000, facts: 30, value: 2_000, fields: true },
  { body: 3_000, facts: 30, value: 300, fields: true },
  { body: 1_000, facts: 30, value: 100, fields: true },
  { body: 500, facts: 10, value: 100, fields: true },
  // Where the inputs alone are too large, an answer that needs them must be given elsewhere.
  { body: 500, facts: 10, value: 100, fields: false },
];

export function toBlockKit(card: Card, context: BlockKitContext): BlockKit {
  const text = escapeText(cut(toText(card, context), MAX_TEXT));
  const tries = CUTS.map((size) => blocksOf(card, context, size));
  const blocks = tries.find((each) => JSON.stringify(each).length <= MAX_BLOCKS_LENGTH) ?? tries.at(-1)!;
  return { text, blocks };
}

function blocksOf(card: Card, context: BlockKitContext, size: Cut): unknown[] {
  const body = cut(card.body ?? '', size.body);
  return [
    { type: 'header', text: words(cut(card.title, HEADER)) },
    ...(card.title.length > HEADER ? [section(card.title)] : []),
    ...pieces(body, SECTION).map(section),
    ...factSections(card, size),
    ...settledBlocks(card, context),
    ...answerBlocks(card, context, size),
  ];
}

function factSections({ facts = [] }: Card, size: Cut): unknown[] {
  const fields = facts
    .slice(0, size.facts)
    .map(({ label, value }) => [
      { type: 'mrkdwn', text: `*${escapeText(shown(cut(label, 100)).replaceAll(/[*_~`\n]/g, ' '))}*` },
      words(cut(value, size.value)),
    ]);
  const groups = fields.map((_, i) => i).filter((i) => i % FACTS_PER_SECTION === 0);
  return groups.map((from) => ({ type: 'section', fields: fields.slice(from, from + FACTS_PER_SECTION).flat() }));
}

function settledBlocks(card: Card, { decision, reader }: BlockKitContext): unknown[] {
  const text = decisionText(card, decision, reader);
  if (text === undefined) return [];
  const reason = decision?.reason === undefined ? [] : [section(cut(decision.reason, SECTION))];
  return [{ type: 'divider' }, section(text), ...reason];
}

function answerBlocks(card: Card, context: BlockKitContext, size: Cut): unknown[] {
  const actions = openActions(card, context.decision);
  const version = actions.length > 0 ? cardVersion(card) : '';
  const buttons = [
    ...actions.map((action) => button(action, { noticeId: context.noticeId, actionId: action.id, version })),
    ...(card.link
      ? [{ type: 'button', action_id: 'open', text: words(cut(card.link.label, BUTTON)), url: card.link.url }]
      : []),
  ];
  const fields = size.fields ? fieldsFor(card, actions) : [];
  const known = new Set(fields.map(({ id }) => id));
  const asks = actions.filter(({ id, askReason }) => askReason && !known.has('reason') && !known.has(reasonInput(id)));
  const inputs = [...fields.map(inputBlock), ...asks.map(reasonBlock)];
  return buttons.length === 0 ? [] : [...inputs, { type: 'actions', block_id: 'answers', elements: buttons }];
}

function button({ id, label, style }: CardAction, key: AnswerKey): unknown {
  const look = style === undefined ? {} : { style };
  return { type: 'button', action_id: `answer-${id}`, text: words(label), value: JSON.stringify(key), ...look };
}

/** Not required by Slack, because it belongs to one of the buttons only; the decision asks for it. */
function reasonBlock({ id, label }: CardAction): unknown {
  return {
    type: 'input',
    block_id: reasonInput(id),
    optional: true,
    label: words(`Reason for “${label}”`),
    element: { type: 'plain_text_input', action_id: reasonInput(id), multiline: true, max_length: MAX_REASON },
  };
}

/** The inputs of an author's Adaptive Card that go with any of the buttons. */
function fieldsFor({ adaptiveCard }: Card, actions: readonly CardAction[]): Field[] {
  if (!adaptiveCard) return [];
  const fields = actions.flatMap(({ id }) => fieldsOf(adaptiveCard, id));
  return [...new Map(fields.map((field) => [field.id, field])).values()];
}

function inputBlock(field: Field): unknown {
  const label = words(cut(field.label, 2_000));
  return { type: 'input', block_id: `input-${field.id}`, optional: true, label, element: elementOf(field) };
}

function elementOf(field: Field): unknown {
  const own = { action_id: field.id };
  const options = field.choices
    .slice(0, 100)
    .map(({ label, value }) => ({ text: words(cut(label, 75)), value: cut(value, 150) }));
  if (field.kind === 'number') return { type: 'number_input', is_decimal_allowed: true, ...own };
  if (field.kind === 'date') return { type: 'datepicker', ...own };
  if (field.kind === 'time') return { type: 'timepicker', ...own };
  if (field.kind === 'toggle')
    return { type: 'checkboxes', options: [{ ...options[1]!, text: words(cut(field.label, 75)) }], ...own };
  if (options.length > 0)
    return { type: field.kind === 'choices' ? 'multi_static_select' : 'static_select', options, ...own };
  return {
    type: 'plain_text_input',
    multiline: field.multiline,
    max_length: Math.max(1, Math.min(field.maxLength ?? MAX_REASON, 3_000)),
    ...own,
  };
}

function section(text: string): unknown {
  return { type: 'section', text: words(text) };
}

/** Plain text: nothing in it is read as formatting or as a mention. Slack refuses texts that show nothing. */
function words(text: string): unknown {
  return { type: 'plain_text', text: shown(text), emoji: false };
}

function shown(text: string): string {
  return text.trim() === '' ? '\u2013' : text;
}

/** What Slack would read as a mention or a link: `<!channel>`, `<@U1>`, `<https://...>`. */
function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function cut(text: string, length: number): string {
  return text.length <= length
    ? text
    : `${text
        .slice(0, length - 1)
        .toWellFormed()
        .replace(/\ufffd$/, '')}…`;
}

/** At most `length` characters each, cut between lines where there are any. */
function pieces(text: string, length: number): string[] {
  const parts: string[] = [];
  for (let rest = text.trim(); rest !== ''; ) {
    const line = rest.length <= length ? -1 : rest.lastIndexOf('\n', length);
    const at = rest.length <= length ? rest.length : line > length / 2 ? line : length - 1;
    parts.push(rest.slice(0, at).toWellFormed());
    rest = rest.slice(at).trimStart();
  }
  return parts;
}
