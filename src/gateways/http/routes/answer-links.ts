// Where the answer links of a mail lead. A GET shows the card and one button, and changes nothing: scanners follow every
// link. The POST of that button gives the answer, as the person whom the signed token names.
import { createHash } from 'node:crypto';
import { Type } from 'typebox';
import { canAnswer, type Decision, decisionText } from '../../../assistant/cards/decision.ts';
import { type Field, fieldsOf } from '../../../assistant/cards/raw/fields.ts';
import type { Decisions } from '../../../assistant/decisions/decisions.ts';
import { type AnswerKeys, type AnswerLink, readAnswerLink } from '../../../assistant/decisions/link.ts';
import { decisionsOf } from '../../../assistant/decisions/question.ts';
import { findNotices, type Notice } from '../../../inbox/notice.ts';
import type { CardAction } from '../../../kit/card.ts';
import type { Database } from '../../../kit/database.ts';
import { Refusal, refusals } from '../../../kit/refusal.ts';
import type { Recipient } from '../../../people/recipient.ts';
import { findRecipients } from '../../../people/recipients.ts';
import type { App, Reply } from '../app.ts';
import { escapeHtml, plainPage } from '../plain-page.ts';
import { responses } from '../schemas.ts';

export type AnswerLinkDeps = {
  readonly database: Database;
  readonly decisions: Pick<Decisions, 'decide'>;
  /** Without keys there are no such links, and every one is refused. */
  readonly answerKeys?: AnswerKeys | undefined;
};

type Shown = {
  readonly link: AnswerLink;
  readonly notice: Notice;
  readonly action: CardAction;
  readonly decision: Decision;
  readonly person: Recipient | undefined;
};

const path = '/v1/answers/:token';
const config = { access: 'open' as const };
const params = Type.Object({
  token: Type.String({ maxLength: 600, description: 'Signed by the server, in its mails.' }),
});
const page = { description: 'A page for people.', content: { 'text/html': { schema: Type.String() } } };
const pages = {
  ...responses({}),
  ...Object.fromEntries([200, 400, 403, 404, 409, 410, 422].map((status) => [status, page])),
};
const MAX_FORM = 64 * 1024;

export function answerLinkRoutes(root: App, deps: AnswerLinkDeps): void {
  const { answerKeys } = deps;
  if (answerKeys === undefined) return;
  void root.register(async (app: App) => {
    app.removeAllContentTypeParsers();
    app.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string', bodyLimit: MAX_FORM },
      (_request, body, done) => done(null, formOf(body as string)), // parseAs says so
    );
    app.get(path, { config, schema: showSchema }, (request, reply) =>
      inWords(reply, async () => {
        const shown = await find(deps, readAnswerLink(request.params.token, answerKeys, new Date()));
        return canAnswer(shown.decision) ? askPage(reply, shown) : settledPage(reply, shown);
      }),
    );
    app.post(path, { config, schema: doSchema }, (request, reply) =>
      inWords(reply, () => {
        const { token } = request.params;
        const inputs = (request.body ?? {}) as Record<string, string>; // what the parser above makes
        return press(deps, reply, token, readAnswerLink(token, answerKeys, new Date()), inputs);
      }),
    );
  });
}

async function press(
  deps: AnswerLinkDeps,
  reply: Reply,
  token: string,
  link: AnswerLink,
  inputs: Readonly<Record<string, string>>,
) {
  const { recipientId: actorId, noticeId, actionId } = link;
  try {
    const idempotencyKey = createHash('sha256').update(token).digest('base64url');
    const how = { surface: 'email', via: 'mail link', idempotencyKey };
    await deps.decisions.decide({ noticeId, actorId, actionId, inputs, ...how });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return refusedPage(reply, await find(deps, link), error, inputs);
  }
  return settledPage(reply, await find(deps, link));
}

/** People come here by a mail: what is refused is told in words, too. */
async function inWords(reply: Reply, work: () => Promise<unknown>): Promise<unknown> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { status, title } = refusals[error.code];
    return plainPage(reply, status, title, `<p>${escapeHtml(error.message)}</p><p><a href="/me">Your inbox</a></p>`);
  }
}

async function find({ database }: AnswerLinkDeps, link: AnswerLink): Promise<Shown> {
  const { noticeId, actionId } = link;
  const [notices, decisions, people] = await Promise.all([
    findNotices(database, [link]),
    decisionsOf(database, [noticeId]),
    findRecipients(database, [link.recipientId]),
  ]);
  const notice = notices.get(noticeId);
  const action = notice?.card.actions?.find(({ id }) => id === actionId);
  const decision = decisions.get(noticeId);
  if (!notice || !action || !decision) throw new Refusal('not_found', 'What this link is about is no longer there.');
  return { link, notice, action, decision, person: people.get(link.recipientId) };
}

function askPage(reply: Reply, shown: Shown, problem?: string, filled: Readonly<Record<string, string>> = {}) {
  const { notice, action, person } = shown;
  const alert = problem === undefined ? '' : `<p role="alert"><b>${escapeHtml(problem)}</b></p>`;
  const fields = notice.card.adaptiveCard ? fieldsOf(notice.card.adaptiveCard, action.id) : [];
  const hasReason = fields.some(({ id }) => id === 'reason' || id === `reason-${action.id}`);
  const reason = action.askReason && !hasReason ? [reasonField(action)] : [];
  const inputs = [...fields, ...reason].map(
    (field) => `<p>${control(field, filled[field.id] ?? field.value ?? '')}</p>`,
  );
  const form = `<form method="post">${inputs.join('\n')}<p><button>${escapeHtml(action.label)}</button></p></form>`;
  const body = `${cardHtml(notice)}${alert}${form}<p><small>You answer as ${escapeHtml(person?.displayName ?? notice.recipientId)}. Nothing happens before you press the button.</small></p>`;
  return plainPage(reply, problem === undefined ? 200 : 422, notice.card.title, body);
}

function settledPage(reply: Reply, { notice, decision, person }: Shown, status = 200) {
  const reason = decision.reason === undefined ? '' : `<blockquote>${lines(decision.reason)}</blockquote>`;
  const words = `<p><b>${escapeHtml(decisionText(notice.card, decision, person) ?? '')}</b></p>${reason}`;
  return plainPage(reply, status, notice.card.title, `${cardHtml(notice)}${words}<p><a href="/me">Your inbox</a></p>`);
}

/** What can be mended is asked again; what cannot shows where the question stands. */
function refusedPage(reply: Reply, shown: Shown, refusal: Refusal, filled: Readonly<Record<string, string>>) {
  if (refusal.code === 'reason_required' || refusal.code === 'inputs_invalid')
    return askPage(reply, shown, refusal.message, filled);
  if (shown.decision.state !== 'open') return settledPage(reply, shown, refusal.code === 'already_decided' ? 409 : 410);
  throw refusal;
}

function cardHtml({ card }: Notice): string {
  const body = card.body ? `<p>${lines(card.body)}</p>` : '';
  const rows = (card.facts ?? []).map(
    ({ label, value }) => `<tr><th scope="row">${escapeHtml(label)}</th><td>${lines(value)}</td></tr>`,
  );
  return `${body}${rows.length > 0 ? `<table>${rows.join('')}</table>` : ''}`;
}

function lines(text: string): string {
  return escapeHtml(text).replaceAll(/\r\n?|\n/g, '<br>');
}

function reasonField({ label }: CardAction): Field {
  const none = { value: undefined, min: undefined, max: undefined, choices: [] };
  return {
    ...none,
    id: 'reason',
    kind: 'text',
    label: `Reason for “${label}”`,
    required: true,
    multiline: true,
    maxLength: 2_000,
  };
}

function control(field: Field, value: string): string {
  const name = `name="${escapeHtml(field.id)}" id="f-${escapeHtml(field.id)}"${field.required ? ' required' : ''}`;
  const label = `<label for="f-${escapeHtml(field.id)}">${escapeHtml(field.label)}</label><br>`;
  if (field.kind === 'toggle') return toggle(field, name, value);
  if (field.kind === 'choice' || field.kind === 'choices') return `${label}${choice(field, name, value)}`;
  if (field.kind === 'text' && field.multiline)
    return `${label}<textarea ${name} rows="4" cols="50" maxlength="${field.maxLength ?? 2_000}">${escapeHtml(value)}</textarea>`;
  const limits = [field.min && `min="${escapeHtml(field.min)}"`, field.max && `max="${escapeHtml(field.max)}"`].filter(
    Boolean,
  );
  const type = field.kind === 'number' ? 'type="number" step="any"' : `type="${field.kind}"`;
  return `${label}<input ${type} ${name} value="${escapeHtml(value)}" ${limits.join(' ')} maxlength="${field.maxLength ?? 2_000}">`;
}

function toggle({ id, label, choices }: Field, name: string, value: string): string {
  const on = choices[1]!.value; // a toggle has two
  const checked = value === on ? ' checked' : '';
  return `<input type="checkbox" ${name} value="${escapeHtml(on)}"${checked}> <label for="f-${escapeHtml(id)}">${escapeHtml(label)}</label>`;
}

function choice({ kind, choices, required }: Field, name: string, value: string): string {
  const chosen = kind === 'choices' ? value.split(',') : [value];
  const empty = kind === 'choice' && !(required && value !== '') ? '<option value=""></option>' : '';
  const options = choices.map(
    (each) =>
      `<option value="${escapeHtml(each.value)}"${chosen.includes(each.value) ? ' selected' : ''}>${escapeHtml(each.label)}</option>`,
  );
  return `<select ${name}${kind === 'choices' ? ' multiple' : ''}>${empty}${options.join('')}</select>`;
}

/** Several values of one name are one text with commas, as Adaptive Cards have it. */
function formOf(body: string): Record<string, string> {
  const form = new URLSearchParams(body);
  return Object.fromEntries([...new Set(form.keys())].map((name) => [name, form.getAll(name).join(',')]));
}

const showSchema = {
  operationId: 'showAnswerLink',
  summary: 'The page of an answer link',
  tags: ['inbox'],
  params,
  response: pages,
};
const doSchema = {
  operationId: 'answerByLink',
  summary: 'Give the answer of a link',
  description:
    'Decides the question as the person whom the signed token names. Answers pages, also where it is refused.',
  tags: ['inbox'],
  params,
  response: pages,
};
