// Where the question on a card stands: every surface shows it, and none but `decisions/` changes it.
import type { Card, CardAction } from '../../kit/card.ts';

export const questionStates = ['open', 'decided', 'expired', 'withdrawn'] as const;
export type QuestionState = (typeof questionStates)[number];

export type Decision = {
  readonly state: QuestionState;
  /** Until when it can be answered; absent: without end. */
  readonly expiresAt?: Date;
  /** It is open, but not for this person: they asked for it themselves. */
  readonly ownRequest?: true;
  /** When it was settled; absent while it is open. */
  readonly at?: Date;
  /** The rest is there when it is decided. */
  readonly by?: { readonly id: string; readonly name?: string };
  readonly actionId?: string;
  readonly label?: string;
  readonly reason?: string;
  readonly inputs?: Readonly<Record<string, string>>;
  readonly surface?: string;
};

/** For whom the words are: their language for dates, and their time zone. */
export type Reader = { readonly locale?: string | undefined; readonly timeZone?: string | undefined };

/** `Approved by Bob Miller on 22 Nov 2026, 10:42 UTC`; undefined while the question is open for its reader. */
export function decisionText(card: Card, decision: Decision | undefined, reader: Reader = {}): string | undefined {
  if (decision?.ownRequest) return 'You asked for this: somebody else answers';
  if (!decision || canAnswer(decision)) return undefined;
  const when = decision.at ? ` on ${dateText(decision.at, reader)}` : '';
  if (decision.state === 'expired') return `Nobody answered in time (expired${when})`;
  if (decision.state === 'withdrawn') return `No longer asked for (withdrawn${when})`;
  const action = card.actions?.find(({ id }) => id === decision.actionId);
  const by = decision.by?.name ?? decision.by?.id ?? 'somebody';
  return `${action?.done ?? decision.label ?? decision.actionId} by ${by}${when}`;
}

/** Whether its reader can. A card whose decision is not known asks. */
export function canAnswer(decision: Decision | undefined): boolean {
  return decision === undefined || (decision.state === 'open' && !decision.ownRequest);
}

/** The actions that its reader can still choose. */
export function openActions(card: Card, decision: Decision | undefined): readonly CardAction[] {
  return canAnswer(decision) ? (card.actions ?? []) : [];
}

function dateText(date: Date, { locale, timeZone }: Reader): string {
  const options = { dateStyle: 'medium', timeStyle: 'short' } as const;
  try {
    const zone = timeZone ?? 'UTC';
    const text = new Intl.DateTimeFormat(locale ?? 'en-GB', { ...options, timeZone: zone }).format(date);
    return timeZone === undefined ? `${text} UTC` : text;
  } catch {
    // A locale or zone that this runtime does not know: the date matters more than its form.
    return `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  }
}
