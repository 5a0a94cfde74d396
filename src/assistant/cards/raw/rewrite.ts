// An author's Adaptive Card for one surface: its buttons as the surface takes them, with the data that says what is
// answered; once the question is settled without buttons and inputs, and with what was decided below.
import type { AdaptiveCard, Card } from '../../../kit/card.ts';
import { isRecord } from '../../../kit/record.ts';
import { type AdaptiveContext, envelope, sendAction, settledBlocks } from '../adaptive.ts';
import { answerData, cardVersion } from '../answer-data.ts';
import { openActions } from '../decision.ts';
import { answerTypes, inputTypes } from './schema.ts';
import { changeThings, type Thing, thingsIn } from './walk.ts';

export function rewriteRaw(card: Card, raw: AdaptiveCard, context: AdaptiveContext): AdaptiveCard {
  const open = openActions(card, context.decision);
  const version = cardVersion(card);
  const isOpen = open.length > 0;
  const change = (thing: Thing): Thing | undefined => {
    const type = thing.type as string;
    if (answerTypes.includes(type)) return isOpen ? answerButton(card, thing, version, context) : undefined;
    // Nothing comes back from a page that only opens links: there, the page that a button opens has the inputs.
    if (inputTypes.includes(type)) return isOpen && context.surface !== 'link' ? thing : undefined;
    if (type === 'Action.ShowCard') return isWorthShowing(thing, context) ? thing : liftedLink(thing, context);
    if (type === 'ActionSet') return (thing.actions as unknown[]).length > 0 ? thing : undefined;
    return thing;
  };
  const changed = changeThings(raw, change)!; // the card itself is never left out
  const body = [...((changed.body as unknown[] | undefined) ?? []), ...settledBlocks(card, context)];
  return { ...changed, ...envelope(card, context), body };
}

function answerButton(card: Card, thing: Thing, version: string, context: AdaptiveContext): Thing | undefined {
  const action = card.actions?.find(({ id }) => id === thing.id);
  if (!action) return undefined; // in a fallback that no button of the card stands for
  const { type: _type, fallback: _fallback, associatedInputs, ...look } = thing;
  if (context.surface === 'link') {
    const url = context.answerUrl?.(action);
    return url === undefined ? undefined : { type: 'Action.OpenUrl', ...look, url };
  }
  const data = answerData({ noticeId: context.noticeId, actionId: action.id, version });
  const inputs = associatedInputs === undefined ? {} : { associatedInputs };
  return sendAction(context.surface, { ...look, ...inputs }, data);
}

/** A card with nothing but what was taken out of it is not worth a button. */
function isWorthShowing({ card }: Thing, { surface }: AdaptiveContext): boolean {
  if (!isRecord(card)) return false;
  const nothing = [undefined, 'AdaptiveCard', 'ActionSet', ...(surface === 'link' ? ['Action.OpenUrl'] : [])];
  return [...thingsIn(card)].some(({ type }) => !nothing.includes(type as string | undefined));
}

/** What a shown card would have held: its one link, on the button itself. */
function liftedLink(
  { card, type: _type, fallback: _fallback, ...look }: Thing,
  { surface }: AdaptiveContext,
): Thing | undefined {
  if (surface !== 'link' || !isRecord(card)) return undefined;
  const link = [...thingsIn(card)].find(({ type }) => type === 'Action.OpenUrl');
  return link && { ...link, ...look, type: 'Action.OpenUrl' };
}
