// What the assistant answers: text, and buttons whose words are said when they are pressed. Pure.
import type { Activity } from '../conversations/activity.ts';
import type { Content } from '../poster.ts';

/** `cards`: notices that are shown as they are, with their buttons. */
export type Reply = {
  readonly text: string;
  readonly buttons?: readonly string[];
  readonly cards?: readonly Content[];
};

export const HELP: Reply = {
  text: [
    'You can ask me:',
    '- what is new',
    '- why did I get this',
    '- show my approvals',
    '- mute HR until Monday (or: for 2 hours, until tomorrow 14:00)',
    '- unmute HR',
    '- what is muted',
  ].join('\n'),
  buttons: ['What is new', 'Show my approvals', 'What is muted'],
};

/** `suggestedActions` must name whom they are for, else the SDKs refuse them. */
export function activityOfReply({ text, buttons = [] }: Reply, to: string): Activity {
  const actions = buttons.map((words) => ({ type: 'imBack', title: words, value: words }));
  return {
    type: 'message',
    text,
    textFormat: 'markdown',
    ...(actions.length > 0 && { suggestedActions: { to: [to], actions } }),
  };
}

/** In a person's own time and language. */
export function whenText(at: Date, timeZone: string, locale = 'en-GB'): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'short', timeZone }).format(at);
}

/** Signs that Markdown reads. */
export function plain(text: string): string {
  return text.replaceAll(/[\\`*_[\]<>#|~]/g, '\\$&');
}
