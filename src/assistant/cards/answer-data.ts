// What the buttons of a card carry, and how it is read back: one form on every surface. It names the notice, the action
// and the version of the card that was on the screen. It proves nothing: who answers is told by the channel that
// verified them, never by card data.
import { createHash } from 'node:crypto';
import { type Card, cardJson } from '../../kit/card.ts';
import { isRecord } from '../../kit/record.ts';

/** Under this key, so that no input of a card can change it. */
const KEY = 'carillon';
const ANSWER_VERB = 'decide';
/** Ids that inputs of a card may not have. */
export const reservedInputs: readonly string[] = [KEY, 'verb', 'msteams'];

/** The input that holds the reason of an action. */
export const reasonInput = (actionId: string) => `reason-${actionId}`;

export type AnswerKey = { readonly noticeId: string; readonly actionId: string; readonly version?: string };
export type ReadAnswer = AnswerKey & {
  /** As they came, but texts; `reason` is the reason, whichever field it was in. */
  readonly inputs: Readonly<Record<string, string>>;
};

/** Tells two versions of a card apart; 12 characters. */
export function cardVersion(card: Card): string {
  return createHash('sha256').update(cardJson(card)).digest('base64url').slice(0, 12);
}

export function answerData(key: AnswerKey): Record<string, unknown> {
  return { verb: ANSWER_VERB, [KEY]: { noticeId: key.noticeId, actionId: key.actionId, version: key.version } };
}

/**
 * Reads the answer out of what a channel got: the `value` of a message (Action.Submit), the `value` of an invoke
 * `adaptiveCard/action` (Action.Execute), or a Slack `block_actions` payload. Undefined: it is no answer to a card of ours.
 */
export function readAnswer(value: unknown): ReadAnswer | undefined {
  if (!isRecord(value)) return undefined;
  if (value.type === 'block_actions') return readBlockActions(value);
  // An agent may hand on the whole action of an invoke, or only its data.
  if (isRecord(value.action)) return readAnswer(value.action.data);
  if (isRecord(value.data) && KEY in value.data) return readAnswer(value.data);
  const key = readKey(value[KEY]);
  if (!key) return undefined;
  const rest = Object.entries(value).filter(([name]) => !reservedInputs.includes(name));
  return { ...key, inputs: inputsOf(key, rest) };
}

function readBlockActions(payload: Record<string, unknown>): ReadAnswer | undefined {
  const [pressed] = Array.isArray(payload.actions) ? (payload.actions as unknown[]) : [];
  const key = isRecord(pressed) ? readKey(parseJson(pressed.value)) : undefined;
  if (!key) return undefined;
  const state = isRecord(payload.state) && isRecord(payload.state.values) ? payload.state.values : {};
  const fields = Object.values(state).flatMap((block) => (isRecord(block) ? Object.entries(block) : []));
  return {
    ...key,
    inputs: inputsOf(
      key,
      fields.map(([name, field]) => [name, slackValue(field)]),
    ),
  };
}

/** The state of one of Slack's inputs; several choices are one text with commas, as Adaptive Cards have it. */
function slackValue(field: unknown): unknown {
  if (!isRecord(field)) return undefined;
  const { value, selected_date, selected_time, selected_option, selected_options } = field;
  if (isRecord(selected_option)) return selected_option.value;
  if (Array.isArray(selected_options))
    return selected_options
      .filter(isRecord)
      .map((each) => each.value)
      .join(',');
  return value ?? selected_date ?? selected_time ?? undefined;
}

function readKey(value: unknown): AnswerKey | undefined {
  if (!isRecord(value)) return undefined;
  const { noticeId, actionId, version } = value;
  if (typeof noticeId !== 'string' || typeof actionId !== 'string' || noticeId.length > 100) return undefined;
  return { noticeId, actionId, ...(typeof version === 'string' && { version }) };
}

function inputsOf({ actionId }: AnswerKey, entries: readonly (readonly [string, unknown])[]): Record<string, string> {
  const inputs: Record<string, string> = Object.create(null);
  for (const [name, value] of entries) {
    const own = name === reasonInput(actionId) ? 'reason' : name;
    if (own.startsWith('reason-')) continue; // the reason for another action
    if (typeof value === 'string') inputs[own] = value;
    else if (typeof value === 'number' || typeof value === 'boolean') inputs[own] = String(value);
  }
  return { ...inputs };
}

function parseJson(text: unknown): unknown {
  try {
    return typeof text === 'string' ? JSON.parse(text) : undefined;
  } catch {
    return undefined; // a button that is not ours
  }
}
