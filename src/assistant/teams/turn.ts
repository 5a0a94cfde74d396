// What comes from Teams: installing and removing the app, messages, buttons. The person is who the token vouches for; a
// recipient is looked up for them, and where they can be reached is remembered on every turn.

import { isRecord } from '../../kit/record.ts';
import { Refusal } from '../../kit/refusal.ts';
import { findRecipients } from '../../people/recipients.ts';
import { type AnswerDeps, type Taken, takeAnswer } from '../answering.ts';
import type { Hear } from '../bot/hear.ts';
import type { Shower } from '../bot/show.ts';
import { ADAPTIVE_CARD_TYPE, toAdaptiveCard } from '../cards/adaptive.ts';
import { readAnswer } from '../cards/answer-data.ts';
import type { Activity } from '../conversations/activity.ts';
import { sayPatiently } from '../pace.ts';
import { identify } from '../references/identify.ts';
import { captureReference, markReference } from '../references/references.ts';
import type { TeamsLine } from './poster.ts';

export type TeamsTurnDeps = AnswerDeps & {
  /** The name of the connection. */
  readonly name: string;
  readonly line: TeamsLine;
  /** The assistant that answers; without one messages are only noted. */
  readonly hear?: Hear | undefined;
  readonly show: Shower;
};

/** For the HTTP answer. `body` matters for invokes only. */
export type TurnAnswer = { readonly status: number; readonly body?: unknown };

type Sender = { readonly userId: string; readonly memberId: string };
type Spoken = {
  readonly activity: Activity;
  readonly sender: Sender;
  readonly where: { readonly serviceUrl: string; readonly conversationId: string };
  readonly isPersonal: boolean;
};

const DONE: TurnAnswer = { status: 200 };
const UNKNOWN = 'I do not know you here yet. Ask whoever runs me to note your Teams account with your name.';

/** `activity` was verified to come from Teams. Refuses `activity_invalid`, `not_allowed`. */
export async function takeTeamsActivity(deps: TeamsTurnDeps, activity: Activity): Promise<TurnAnswer> {
  const spoken = read(deps, activity);
  if (!spoken) return DONE;
  const recipientId = await whoIs(deps, spoken);
  if (isRemoval(activity, deps)) return recipientId === undefined ? DONE : forget(deps, spoken, recipientId);
  if (recipientId !== undefined && spoken.isPersonal) await capture(deps, spoken, recipientId);
  if (activity.type === 'invoke') return takeInvoke(deps, spoken, recipientId);
  if (activity.type !== 'message') return DONE;
  if (recipientId === undefined) return say(deps, spoken, { type: 'message', text: UNKNOWN });
  const answer = readAnswer(activity.value);
  if (answer) {
    // An old client that knows no Execute: the card itself is edited, so only a refusal needs words.
    const taken = await answerOf(deps, spoken, recipientId, answer);
    return taken.refusal ? say(deps, spoken, { type: 'message', text: taken.refusal.message }) : DONE;
  }
  await hear(deps, spoken, recipientId, activity);
  return DONE;
}

/** Undefined: nothing that concerns us, such as what the bot itself did. */
function read({ line }: TeamsTurnDeps, activity: Activity): Spoken | undefined {
  const { from, conversation, serviceUrl, channelId } = activity;
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);
  const account: Record<string, unknown> = from ? { ...from } : {};
  const place: Record<string, unknown> = conversation ? { ...conversation } : {};
  const memberId = text(account.id);
  const conversationId = text(place.id);
  if (channelId !== 'msteams' || !memberId || !conversationId)
    throw new Refusal('activity_invalid', 'The activity must come from Teams and name its sender and conversation.');
  if (memberId.startsWith('28:')) return undefined;
  const tenant = text(place.tenantId) ?? tenantIn(activity.channelData);
  if (tenant !== line.connection.tenantId)
    throw new Refusal('not_allowed', 'Only people of the tenant of this connection can speak to its assistant.');
  const userId = text(account.aadObjectId) ?? memberId;
  return {
    activity,
    sender: { userId, memberId },
    where: { serviceUrl: String(serviceUrl), conversationId },
    isPersonal: place.conversationType === 'personal' || place.conversationType === undefined,
  };
}

function tenantIn(channelData: unknown): unknown {
  return isRecord(channelData) && isRecord(channelData.tenant) ? channelData.tenant.id : undefined;
}

function whoIs({ database, name, line }: TeamsTurnDeps, { sender, where }: Spoken): Promise<string | undefined> {
  return identify(database, {
    channel: 'teams',
    connection: name,
    person: sender.userId,
    email: async () => {
      const told = await line.connector.member(where, sender.memberId);
      const email = told.kind === 'done' ? (told.value.email ?? told.value.userPrincipalName) : undefined;
      return typeof email === 'string' ? email : undefined;
    },
  });
}

function isRemoval({ type, action, membersRemoved }: Activity, { line }: TeamsTurnDeps): boolean {
  if (type === 'installationUpdate') return String(action).startsWith('remove');
  if (type !== 'conversationUpdate' || !Array.isArray(membersRemoved)) return false;
  return membersRemoved.some((each) => isRecord(each) && each.id === `28:${line.connection.appId}`);
}

async function capture({ database, name }: TeamsTurnDeps, spoken: Spoken, recipientId: string): Promise<void> {
  const { activity, sender, where } = spoken;
  const address = { ...where, userId: sender.userId, ...(activity.locale && { locale: activity.locale }) };
  const place = where.conversationId;
  const about = { recipientId, channel: 'teams', connection: name, place, person: sender.userId } as const;
  await captureReference(database, { ...about, address, seenAt: new Date() });
}

async function forget({ database, name }: TeamsTurnDeps, { where }: Spoken, recipientId: string): Promise<TurnAnswer> {
  const place = { recipientId, channel: 'teams', connection: name, place: where.conversationId } as const;
  await markReference(database, place, 'gone', 'uninstalled');
  return DONE;
}

async function takeInvoke(deps: TeamsTurnDeps, spoken: Spoken, recipientId: string | undefined): Promise<TurnAnswer> {
  const { activity } = spoken;
  if (activity.name !== 'adaptiveCard/action') return { status: 501 };
  if (recipientId === undefined) return invokeError(403, 'Forbidden', UNKNOWN);
  const answer = readAnswer(activity.value);
  if (answer) return shown(deps, recipientId, await answerOf(deps, spoken, recipientId, answer));
  if (!deps.hear) return invokeError(400, 'BadRequest', 'This button is none of mine.');
  const pressed = isRecord(activity.value) && isRecord(activity.value.action) ? activity.value.action.data : undefined;
  const message = { ...activity, type: 'message', value: pressed };
  await hear(deps, spoken, recipientId, message);
  return invokeAnswer('application/vnd.microsoft.activity.message', 'Done.');
}

function answerOf(
  deps: TeamsTurnDeps,
  { activity }: Spoken,
  actorId: string,
  answer: NonNullable<ReturnType<typeof readAnswer>>,
): Promise<Taken> {
  const key = `teams:${deps.name}:${activity.conversation?.id}:${activity.id}`;
  return takeAnswer(deps, { read: answer, actorId, surface: 'teams', key });
}

/** The card as it stands now takes the place of the one that was pressed; a card that cannot be shown is told in words. */
async function shown({ database }: TeamsTurnDeps, recipientId: string, taken: Taken): Promise<TurnAnswer> {
  const { notice, decision, refusal } = taken;
  const isAnswerable = refusal?.code === 'reason_required' || refusal?.code === 'inputs_invalid';
  if (!notice || isAnswerable || refusal?.code === 'not_allowed')
    return invokeAnswer('application/vnd.microsoft.activity.message', refusal?.message ?? 'Done.');
  const reader = (await findRecipients(database, [recipientId])).get(recipientId);
  const card = toAdaptiveCard(notice.card, { surface: 'teams', noticeId: notice.id, decision, reader });
  return invokeAnswer(ADAPTIVE_CARD_TYPE, card);
}

function invokeAnswer(type: string, value: unknown): TurnAnswer {
  return { status: 200, body: { statusCode: 200, type, value } };
}

function invokeError(statusCode: number, code: string, message: string): TurnAnswer {
  return { status: 200, body: { statusCode, type: 'application/vnd.microsoft.error', value: { code, message } } };
}

async function hear(deps: TeamsTurnDeps, spoken: Spoken, recipientId: string, activity: Activity): Promise<void> {
  const place = { recipientId, channel: 'teams', connection: deps.name, place: spoken.where.conversationId } as const;
  const say = (reply: object) => post(deps, spoken, reply);
  await deps.hear?.({ recipientId, surface: 'teams', activity, say, show: (content) => deps.show(place, content) });
}

async function say(deps: TeamsTurnDeps, spoken: Spoken, activity: object): Promise<TurnAnswer> {
  await post(deps, spoken, activity);
  return DONE;
}

async function post({ line, name }: TeamsTurnDeps, { where }: Spoken, activity: object): Promise<string | undefined> {
  const { conversationId } = where;
  const told = await sayPatiently(
    () => line.pace.admit(name, conversationId),
    () => line.connector.post(where, activity),
  );
  if (told.kind === 'done') return told.value;
  throw new Error(`Teams did not take what the assistant said: ${'cause' in told ? told.cause : told.kind}`);
}
