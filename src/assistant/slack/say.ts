// What the assistant says, in Slack's form: text, and its suggestions as buttons that say their words when pressed.
import { isRecord } from '../../kit/record.ts';
import type { Activity } from '../conversations/activity.ts';
import type { SlackMessage } from './line.ts';

const MOST_BUTTONS = 25;
const MOST_TEXT = 3_000;

export function slackMessageOf(activity: Activity): SlackMessage {
  const text = escapeText(activity.text ?? String(activity.summary ?? ''));
  const buttons = suggestionsIn(activity);
  if (buttons.length === 0) return { text };
  const section = { type: 'section', text: { type: 'mrkdwn', text: text.slice(0, MOST_TEXT) } };
  const elements = buttons.slice(0, MOST_BUTTONS).map(({ title, value }, i) => ({
    type: 'button',
    action_id: `say-${i}`,
    text: { type: 'plain_text', text: title.slice(0, 75), emoji: false },
    value: JSON.stringify({ say: value }).slice(0, 2_000),
  }));
  return { text, blocks: [section, { type: 'actions', elements }] };
}

/** The words of a suggestion that was pressed. */
export function spokenIn(payload: Record<string, unknown>): string | undefined {
  const [pressed] = Array.isArray(payload.actions) ? (payload.actions as unknown[]) : [];
  if (!isRecord(pressed) || typeof pressed.value !== 'string' || !String(pressed.action_id).startsWith('say-'))
    return undefined;
  try {
    const value: unknown = JSON.parse(pressed.value);
    return isRecord(value) && typeof value.say === 'string' ? value.say : undefined;
  } catch {
    return undefined; // a button that is none of ours
  }
}

type Suggestion = { readonly title: string; readonly value: string };

function suggestionsIn({ suggestedActions }: Activity): Suggestion[] {
  const actions = isRecord(suggestedActions) && Array.isArray(suggestedActions.actions) ? suggestedActions.actions : [];
  return actions.filter(isRecord).map(({ title, value }) => ({ title: String(title), value: String(value) }));
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
