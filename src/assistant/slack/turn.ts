// What comes from Slack: buttons, the form that asks for a reason, and messages to the assistant. Slack repeats what is
// not acknowledged within three seconds, so the same thing may come twice: answers count once by their key, messages by
// the id of their event.
import { isRecord } from '../../kit/record.ts';
import type { Emit } from '../../kit/signals.ts';
import { type AnswerDeps, type Taken, takeAnswer } from '../answering.ts';
import type { Hear } from '../bot/hear.ts';
import type { Shower } from '../bot/show.ts';
import { type ReadAnswer, readAnswer } from '../cards/answer-data.ts';
import type { Activity } from '../conversations/activity.ts';
import { sayPatiently } from '../pace.ts';
import { requestEdits } from '../posted.ts';
import type { Content } from '../poster.ts';
import { identify } from '../references/identify.ts';
import { captureReference } from '../references/references.ts';
import type { SlackLine } from './line.ts';
import { REASON_FIELD, readModal, reasonModal } from './modal.ts';
import { slackMessageOf, spokenIn } from './say.ts';

export type SlackSignal = { readonly name: 'assistant.turn-failed'; readonly error: unknown };

export type SlackTurnDeps = AnswerDeps & {
  /** The name of the connection. */
  readonly name: string;
  readonly line: SlackLine;
  readonly hear?: Hear | undefined;
  readonly show: Shower;
  /** After edits were asked for. */
  readonly edit: () => void;
  /** Events that came lately. */
  readonly seen: Set<string>;
  readonly emit: Emit<SlackSignal>;
};

type Json = Record<string, unknown>;
type Person = { readonly userId: string; readonly recipientId: string; readonly channelId: string | undefined };

const UNKNOWN = 'I do not know you here yet. Ask whoever runs me to note your Slack account with your name.';

/** A `payload` of interactivity. The result is the body of the answer. */
export async function takeSlackAction(deps: SlackTurnDeps, payload: unknown): Promise<unknown> {
  if (!isRecord(payload) || !isOwnTeam(deps, payload.team)) return undefined;
  const user = idIn(payload.user);
  if (user === undefined) return undefined;
  const channelId = idIn(payload.channel);
  const recipientId = await whoIs(deps, user);
  if (recipientId === undefined) return tell(deps, channelId ?? user, UNKNOWN);
  const person = { userId: user, recipientId, channelId };
  await capture(deps, person);
  if (payload.type === 'view_submission') return takeModal(deps, person, payload);
  return payload.type === 'block_actions' ? takePress(deps, person, payload) : undefined;
}

async function takePress(deps: SlackTurnDeps, person: Person, payload: Json): Promise<undefined> {
  const read = readAnswer(payload);
  if (!read) {
    const said = spokenIn(payload);
    // The assistant may take longer than Slack waits.
    if (said !== undefined) void hear(deps, person, { type: 'message', text: said });
    return undefined;
  }
  const [pressed] = payload.actions as Json[]; // readAnswer looked at it
  const taken = await answer(deps, person, read, `${String(pressed?.action_ts)}:${String(pressed?.action_id)}`);
  if (taken.refusal?.code === 'reason_required' && typeof payload.trigger_id === 'string') {
    await deps.line.openModal(payload.trigger_id, reasonModal(read, taken.notice));
    return undefined;
  }
  if (taken.refusal) return tell(deps, person.channelId ?? person.userId, taken.refusal.message);
  return undefined;
}

/** A refusal is shown in the form, beside its field. */
async function takeModal(deps: SlackTurnDeps, person: Person, payload: Json): Promise<unknown> {
  const view = isRecord(payload.view) ? payload.view : {};
  const read = readModal(view);
  if (!read) return undefined;
  const { refusal } = await answer(deps, person, read, `view:${String(view.id)}`);
  return refusal ? { response_action: 'errors', errors: { [REASON_FIELD]: refusal.message.slice(0, 500) } } : undefined;
}

async function answer(deps: SlackTurnDeps, person: Person, read: ReadAnswer, press: string): Promise<Taken> {
  const { recipientId } = person;
  const key = `slack:${deps.name}:${press}`;
  const taken = await takeAnswer(deps, { read, actorId: recipientId, surface: 'slack', key });
  if (taken.refusal && taken.notice) {
    await requestEdits(deps.database, [{ recipientId, noticeId: taken.notice.id }]);
    deps.edit();
  }
  return taken;
}

const REMEMBERED = 5_000;

/** An event of the Events API. Resolves before the assistant has answered: Slack waits three seconds only. */
export async function takeSlackEvent(deps: SlackTurnDeps, body: unknown): Promise<unknown> {
  if (!isRecord(body)) return undefined;
  if (body.type === 'url_verification') return { challenge: body.challenge };
  const { event, event_id: id } = body;
  const isOwn = deps.line.connection.teamId === undefined || deps.line.connection.teamId === body.team_id;
  if (body.type !== 'event_callback' || !isRecord(event) || !isOwn || isRepeated(deps, String(id))) return undefined;
  const { type, channel_type: kind, user, channel, text, bot_id: bot, subtype } = event;
  // What bots say, our own words among it, comes back as an event.
  if (type !== 'message' || kind !== 'im' || bot !== undefined || subtype !== undefined) return undefined;
  if (typeof user !== 'string' || typeof channel !== 'string') return undefined;
  const recipientId = await whoIs(deps, user);
  if (recipientId === undefined) return tell(deps, channel, UNKNOWN);
  const person = { userId: user, recipientId, channelId: channel };
  await capture(deps, person);
  void hear(deps, person, { type: 'message', text: String(text ?? ''), id: String(event.ts) });
  return undefined;
}

function isRepeated({ seen }: SlackTurnDeps, id: string): boolean {
  if (seen.has(id)) return true;
  seen.add(id);
  if (seen.size > REMEMBERED) seen.delete(seen.values().next().value!);
  return false;
}

/** Never fails: what went wrong is told to the signals. */
async function hear(deps: SlackTurnDeps, person: Person, activity: Activity): Promise<void> {
  const { recipientId, userId, channelId = userId } = person;
  const say = async (reply: Activity) => {
    const told = await sayPatiently(
      () => deps.line.pace.admit(deps.name, channelId),
      () => deps.line.post(channelId, slackMessageOf(reply)),
    );
    if (told.kind === 'done') return told.value.ts;
    throw new Error(`Slack did not take what the assistant said: ${'cause' in told ? told.cause : told.kind}`);
  };
  const from = { id: recipientId, role: 'user' };
  try {
    const place = { recipientId, channel: 'slack', connection: deps.name, place: channelId } as const;
    const show = (content: Content) => deps.show(place, content);
    await deps.hear?.({ recipientId, surface: 'slack', activity: { ...activity, from }, say, show });
  } catch (error) {
    deps.emit({ name: 'assistant.turn-failed', error });
  }
}

function whoIs({ database, name, line }: SlackTurnDeps, person: string): Promise<string | undefined> {
  return identify(database, { channel: 'slack', connection: name, person, email: () => line.emailOf(person) });
}

/** Only direct messages are a place of a person. */
async function capture({ database, name }: SlackTurnDeps, { recipientId, userId, channelId }: Person): Promise<void> {
  if (!channelId?.startsWith('D')) return;
  const place = { recipientId, channel: 'slack', connection: name, place: channelId } as const;
  const address = { channelId, userId };
  await captureReference(database, { ...place, address, person: userId, seenAt: new Date() });
}

async function tell({ line }: SlackTurnDeps, channel: string, text: string): Promise<undefined> {
  await line.post(channel, slackMessageOf({ type: 'message', text }));
  return undefined;
}

function isOwnTeam({ line }: SlackTurnDeps, team: unknown): boolean {
  const { teamId } = line.connection;
  return teamId === undefined || teamId === idIn(team);
}

function idIn(value: unknown): string | undefined {
  return isRecord(value) && typeof value.id === 'string' ? value.id : undefined;
}
