// What a card asks, and what came of it: its buttons while it is open; who decided what, and when, from then on.
import { Button } from '@fluentui/react-button';
import { CheckmarkCircleFilled, ClockRegular, DismissCircleRegular } from '@fluentui/react-icons';
import { useState } from 'react';
import type { CardAction, Decision, InboxItem } from '../../kit/api.ts';
import { Exact, shortTime } from '../../kit/time.tsx';
import { canAnswer } from '../inbox-state.ts';
import { ReasonDialog } from './ReasonDialog.tsx';

export type Inputs = Readonly<Record<string, string>>;
/** Rejects with what the server refused. */
export type Answer = (item: InboxItem, actionId: string, inputs?: Inputs) => Promise<void>;

type QuestionProps = { readonly item: InboxItem; readonly answer: Answer; readonly buttons?: boolean };

export function Question({ item, answer, buttons = true }: QuestionProps) {
  const { card, decision } = item;
  if (!card.actions?.length) return null;
  return (
    // Polite: whoever reads on hears that somebody else was faster.
    <div className="question" aria-live="polite">
      {decision === undefined || decision.state === 'open' ? (
        <>
          {buttons && canAnswer(decision) && <Buttons item={item} actions={card.actions} answer={answer} />}
          {decision?.ownRequest && <p className="question-until">{ownRequestWords}</p>}
          {decision?.expiresAt && (
            <p className="question-until">
              <ClockRegular aria-hidden="true" /> Answer by <Exact at={decision.expiresAt} />
            </p>
          )}
        </>
      ) : (
        <Decided card={card} decision={decision} />
      )}
    </div>
  );
}

type ButtonsProps = { readonly item: InboxItem; readonly actions: readonly CardAction[]; readonly answer: Answer };

function Buttons({ item, actions, answer }: ButtonsProps) {
  const [busy, setBusy] = useState(false);
  const [asking, setAsking] = useState<CardAction>();
  const send = (action: CardAction, inputs?: Inputs) => {
    setBusy(true);
    return answer(item, action.id, inputs).finally(() => setBusy(false));
  };
  const press = (action: CardAction) => {
    if (action.askReason) setAsking(action);
    else void send(action).catch(() => undefined); // `answer` has told the person
  };
  return (
    <div className="question-buttons">
      {actions.map((action) => (
        <Button
          key={action.id}
          size="large"
          appearance={action.style === 'primary' ? 'primary' : 'secondary'}
          className={action.style === 'danger' ? 'button-danger' : undefined}
          disabled={busy}
          onClick={() => press(action)}
        >
          {action.label}
        </Button>
      ))}
      {asking && (
        <ReasonDialog
          action={asking}
          title={item.title}
          send={(reason) => send(asking, { reason })}
          close={() => setAsking(undefined)}
        />
      )}
    </div>
  );
}

type DecidedProps = { readonly card: InboxItem['card']; readonly decision: Decision };

function Decided({ card, decision }: DecidedProps) {
  const rejected = card.actions?.find(({ id }) => id === decision.actionId)?.style === 'danger';
  const tone = decision.state !== 'decided' ? 'quiet' : rejected ? 'bad' : 'good';
  return (
    <div className={`decided decided-${tone}`}>
      {tone === 'good' ? <CheckmarkCircleFilled aria-hidden="true" /> : <DismissCircleRegular aria-hidden="true" />}
      <div>
        <p className="decided-words">
          {settledWords(card, decision)}
          {decision.at && (
            <>
              {' '}
              at <Exact at={decision.at} short />
            </>
          )}
        </p>
        {decision.reason && <p className="decided-reason">“{decision.reason}”</p>}
      </div>
    </div>
  );
}

const ownRequestWords = 'You asked for this: somebody else answers.';

/** `Approved by Bob Miller`: the server says it in the same words elsewhere (src/assistant/cards/decision.ts). */
export function settledWords(card: InboxItem['card'], decision: Decision): string {
  if (decision.state === 'expired') return 'Nobody answered in time';
  if (decision.state === 'withdrawn') return 'No longer asked for';
  const action = card.actions?.find(({ id }) => id === decision.actionId);
  const verb = action?.done ?? decision.label ?? decision.actionId ?? 'Answered';
  return `${verb} by ${decision.by?.name ?? decision.by?.id ?? 'somebody'}`;
}

/** For a row of the list: undefined where nothing is asked. */
export function questionWords({ card, decision }: InboxItem): string | undefined {
  if (!card.actions?.length) return undefined;
  if (decision === undefined || canAnswer(decision)) return 'Waits for your answer';
  if (decision.ownRequest) return 'Waits for somebody else’s answer';
  const when = decision.at ? `, ${shortTime(new Date(decision.at), new Date())}` : '';
  return `${settledWords(card, decision)}${when}`;
}
