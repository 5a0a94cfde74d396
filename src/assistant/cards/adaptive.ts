// The neutral card as an Adaptive Card 1.5, which Web Chat, Teams and Workflows show. A card's texts are plain, while a
// TextBlock reads Markdown: what would be read as such is escaped.
import type { AdaptiveCard, Card, CardAction } from '../../kit/card.ts';
import { answerData, cardVersion, reasonInput } from './answer-data.ts';
import { type Decision, decisionText, openActions, type Reader } from './decision.ts';
import { plain, tame } from './markdown.ts';
import { safeLink } from './raw/addresses.ts';
import { rewriteRaw } from './raw/rewrite.ts';
import { toText } from './text.ts';

/**
 * How the buttons of a surface work. `directline`: Action.Submit (Web Chat does not know Execute). `teams`: Action.Execute
 * with Submit as its fallback. `link`: no answers come back, so each button opens the page of `answerUrl`.
 */
export type AdaptiveSurface = 'directline' | 'teams' | 'link';

export type AdaptiveContext = {
  readonly surface: AdaptiveSurface;
  readonly noticeId: string;
  readonly decision?: Decision | undefined;
  readonly reader?: Reader | undefined;
  /** Where a button of a `link` surface leads; without it such a card has no buttons. */
  readonly answerUrl?: ((action: CardAction) => string) | undefined;
};

export const ADAPTIVE_CARD_TYPE = 'application/vnd.microsoft.card.adaptive';
const MAX_REASON = 2_000;
const MAX_FALLBACK = 2_000;

export function toAdaptiveCard(card: Card, context: AdaptiveContext): AdaptiveCard {
  if (card.adaptiveCard) return rewriteRaw(card, card.adaptiveCard, context);
  const actions = openActions(card, context.decision).flatMap((action) => answerAction(card, action, context));
  const url = card.link && safeLink(card.link.url);
  const link = card.link && url ? [{ type: 'Action.OpenUrl', title: tame(card.link.label), url }] : [];
  return {
    ...envelope(card, context),
    body: [...content(card), ...settledBlocks(card, context), ...actionSet([...actions, ...link])],
  };
}

/** What every card of ours begins with. */
export function envelope(card: Card, { decision, reader }: AdaptiveContext): Record<string, unknown> {
  return {
    type: 'AdaptiveCard',
    $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
    version: '1.5',
    fallbackText: cut(toText(card, { decision, reader })),
  };
}

function content(card: Card): unknown[] {
  const title = {
    type: 'TextBlock',
    text: plain(card.title),
    weight: 'Bolder',
    size: 'Medium',
    wrap: true,
    style: 'heading',
  };
  return [
    title,
    ...bodyBlocks(card.body ?? ''),
    ...(card.facts?.length
      ? [
          {
            type: 'FactSet',
            facts: card.facts.map(({ label, value }) => ({ title: plain(label), value: plain(value) })),
          },
        ]
      : []),
  ];
}

/** One block for each line: a renderer of Markdown would put the lines of a paragraph together. */
function bodyBlocks(body: string): unknown[] {
  const lines = body.split(/\r\n?|\n/);
  const first = lines.map((line, i) => line.trim() !== '' && (i === 0 || lines[i - 1]!.trim() === ''));
  return lines.flatMap((line, i) =>
    line.trim() === ''
      ? []
      : [{ type: 'TextBlock', text: plain(line), wrap: true, ...(!first[i] && { spacing: 'None' }) }],
  );
}

/** Shown by clients that cannot show the card, as Markdown; long ones would only make the message too large. */
function cut(text: string): string {
  const shown = text.length <= MAX_FALLBACK ? text : `${text.slice(0, MAX_FALLBACK - 1).toWellFormed()}…`;
  return tame(shown);
}

/** What is shown once the question is settled. */
export function settledBlocks(card: Card, { decision, reader }: AdaptiveContext): unknown[] {
  const text = decisionText(card, decision, reader);
  if (text === undefined) return [];
  const chosen = card.actions?.find(({ id }) => id === decision?.actionId);
  const style = decision?.state !== 'decided' ? 'emphasis' : chosen?.style === 'danger' ? 'attention' : 'good';
  const items = [text, decision?.reason ?? ''].filter((each) => each !== '');
  return [
    {
      type: 'Container',
      style,
      separator: true,
      items: items.map((each, i) => ({
        type: 'TextBlock',
        text: plain(each),
        wrap: true,
        ...(i === 0 && { weight: 'Bolder' }),
      })),
    },
  ];
}

// In an ActionSet, not in the card's own `actions`: clients before 1.4 replace an Execute there by its fallback.
function actionSet(actions: readonly unknown[]): unknown[] {
  return actions.length === 0 ? [] : [{ type: 'ActionSet', actions }];
}

function answerAction(card: Card, action: CardAction, context: AdaptiveContext): unknown[] {
  const look = { title: tame(action.label), ...styleOf(action) };
  if (context.surface === 'link') {
    const url = context.answerUrl?.(action);
    return url === undefined ? [] : [{ type: 'Action.OpenUrl', ...look, url }];
  }
  const press = sendAction(
    context.surface,
    look,
    answerData({ noticeId: context.noticeId, actionId: action.id, version: cardVersion(card) }),
  );
  return [action.askReason ? askFirst(action, look, press) : press];
}

/** A button that sends `data`, as the surface takes it. */
export function sendAction(
  surface: 'directline' | 'teams',
  look: object,
  data: Record<string, unknown>,
): Record<string, unknown> {
  const submit = { type: 'Action.Submit', ...look, data };
  return surface === 'directline'
    ? submit
    : { type: 'Action.Execute', ...look, verb: data.verb, data, fallback: submit };
}

function askFirst(action: CardAction, look: object, press: object): object {
  const field = {
    type: 'Input.Text',
    id: reasonInput(action.id),
    label: tame(`Reason for “${action.label}”`),
    isMultiline: true,
    isRequired: true,
    maxLength: MAX_REASON,
    errorMessage: 'Say why, please.',
  };
  const card = { type: 'AdaptiveCard', body: [field, { type: 'ActionSet', actions: [press] }] };
  return { type: 'Action.ShowCard', ...look, card };
}

function styleOf({ style }: CardAction): object {
  if (style === undefined) return {};
  return { style: style === 'danger' ? 'destructive' : 'positive' };
}
