// The form that asks for a reason, for whoever pressed a button that needs one and gave none.
import type { Notice } from '../../inbox/notice.ts';
import { isRecord } from '../../kit/record.ts';
import { type ReadAnswer, readAnswer } from '../cards/answer-data.ts';

export const REASON_FIELD = 'reason';
const CALLBACK = 'carillon-reason';
const MOST = 2_000;

/** What was filled in already goes along; Slack carries 3,000 characters. */
export function reasonModal({ noticeId, actionId, version, inputs }: ReadAnswer, notice: Notice | undefined): object {
  const action = notice?.card.actions?.find(({ id }) => id === actionId);
  const text = (words: string, length: number) => ({ type: 'plain_text', text: words.slice(0, length), emoji: false });
  const kept = JSON.stringify({ carillon: { noticeId, actionId, version }, ...inputs });
  return {
    type: 'modal',
    callback_id: CALLBACK,
    private_metadata: kept.length <= 3_000 ? kept : JSON.stringify({ carillon: { noticeId, actionId, version } }),
    title: text(action?.label ?? 'Reason', 24),
    submit: text(action?.label ?? 'Send', 24),
    blocks: [
      ...(notice ? [{ type: 'section', text: text(notice.card.title, 3_000) }] : []),
      {
        type: 'input',
        block_id: REASON_FIELD,
        label: text('Why?', 2_000),
        element: { type: 'plain_text_input', action_id: REASON_FIELD, multiline: true, max_length: MOST },
      },
    ],
  };
}

/** The answer in a form that was sent; undefined where it is another form. */
export function readModal(view: Record<string, unknown>): ReadAnswer | undefined {
  if (view.callback_id !== CALLBACK || typeof view.private_metadata !== 'string') return undefined;
  const read = readAnswer(JSON.parse(view.private_metadata)); // Slack hands back what we wrote
  if (!read) return undefined;
  const values = isRecord(view.state) && isRecord(view.state.values) ? view.state.values : {};
  const block = values[REASON_FIELD];
  const field = isRecord(block) ? block[REASON_FIELD] : undefined;
  const reason = isRecord(field) && typeof field.value === 'string' ? field.value : '';
  return { ...read, inputs: { ...read.inputs, reason } };
}
