// Shows an Adaptive Card with Microsoft's renderer. The server has checked and cleaned the card (src/assistant/cards/raw);
// here nothing is trusted again: texts go through Markdown without HTML and a cleaner, addresses through a list of schemes.
import * as AdaptiveCards from 'adaptivecards';
import { useEffect, useRef } from 'react';
import type { InboxItem } from '../../kit/api.ts';
import { cleanMarkdown, isSafeAddress } from '../../kit/clean-markdown.ts';
import { useToasts } from '../../kit/toasts.tsx';
import { canAnswer } from '../inbox-state.ts';
import { hostConfig } from './host-config.ts';
import type { Answer, Inputs } from './Question.tsx';
import './adaptive-card.css';

AdaptiveCards.AdaptiveCard.onProcessMarkdown = (text, result) => {
  result.outputHtml = cleanMarkdown(text);
  result.didProcess = true;
};

type ViewProps = { readonly item: InboxItem; readonly answer: Answer };

export default function AdaptiveCardView({ item, answer }: ViewProps) {
  const place = useRef<HTMLDivElement>(null);
  const toasts = useToasts();
  const latest = useRef({ item, answer, toasts });
  latest.current = { item, answer, toasts };
  const { adaptiveCard } = item.card;
  const settled = !canAnswer(item.decision);
  useEffect(() => {
    const card = new AdaptiveCards.AdaptiveCard();
    card.hostConfig = new AdaptiveCards.HostConfig(hostConfig);
    card.onExecuteAction = (action) => execute(action, latest.current);
    card.parse(settled ? withoutQuestions(adaptiveCard) : adaptiveCard);
    const shown = card.render();
    if (shown) place.current?.replaceChildren(shown);
  }, [adaptiveCard, settled]);
  return <div className="adaptive-card" ref={place} />;
}

type Latest = ViewProps & { readonly toasts: ReturnType<typeof useToasts> };

function execute(action: AdaptiveCards.Action, { item, answer, toasts }: Latest): void {
  if (action instanceof AdaptiveCards.OpenUrlAction) open(action.url, toasts);
  const asks = action instanceof AdaptiveCards.SubmitAction || action instanceof AdaptiveCards.ExecuteAction;
  if (asks && action.id)
    void answer(item, action.id, inputsOf(action.data, item.card.adaptiveCard)).catch(() => undefined); // `answer` has told the person
}

function open(url: string | undefined, toasts: Latest['toasts']): void {
  if (url !== undefined && isSafeAddress(url)) window.open(url, '_blank', 'noopener,noreferrer');
  else toasts.fail('open the link', new Error('Its address is not one of the web.'));
}

/** The renderer puts what was filled in beside whatever the author gave the button: only what the card asks for is an answer. */
function inputsOf(data: unknown, card: Json | undefined): Inputs {
  const asked = new Set(
    thingsOf(card)
      .filter(isField)
      .map(({ id }) => id),
  );
  const entries = Object.entries(typeof data === 'object' && data !== null ? data : {});
  return Object.fromEntries(
    entries.filter((entry): entry is [string, string] => asked.has(entry[0]) && typeof entry[1] === 'string'),
  );
}

type Json = Readonly<Record<string, unknown>>;

/** The card as it can only be read: without buttons that answer and without fields to fill in. */
function withoutQuestions(card: Json | undefined): unknown {
  return JSON.parse(JSON.stringify(card ?? {}), (_, value: unknown) =>
    Array.isArray(value) ? value.filter((each) => !isField(each) && !isAnswer(each)) : value,
  );
}

function thingsOf(value: unknown): Json[] {
  if (typeof value !== 'object' || value === null) return [];
  return [value as Json, ...Object.values(value).flatMap(thingsOf)]; // an object's members can be read as such
}

function typeOf(thing: unknown): string {
  return typeof thing === 'object' && thing !== null && 'type' in thing ? String(thing.type) : '';
}

function isField(thing: unknown): boolean {
  return typeOf(thing).startsWith('Input.');
}

function isAnswer(thing: unknown): boolean {
  return /^Action\.(Submit|Execute)$/.test(typeOf(thing));
}
