// The assistant's way to people: the surfaces that it posts to, the built-in assistant that answers, the editor that
// keeps cards true, and the door of Teams and Slack.
import { builtInAgent, openBot } from '../assistant/bot/bot.ts';
import { openShower } from '../assistant/bot/show.ts';
import { conversationChannel } from '../assistant/channel.ts';
import { type Conversation, DEFAULT_AGENT } from '../assistant/conversations/conversation.ts';
import type { Decisions } from '../assistant/decisions/decisions.ts';
import { decisionsOf } from '../assistant/decisions/question.ts';
import { directLinePoster } from '../assistant/directline-poster.ts';
import { CardEditor } from '../assistant/editor.ts';
import { requestEdits } from '../assistant/posted.ts';
import type { Poster } from '../assistant/poster.ts';
import { personCame, personWent } from '../assistant/presence.ts';
import { SlackLine } from '../assistant/slack/line.ts';
import { SlackPoster } from '../assistant/slack/poster.ts';
import { openTeamsLine, TeamsPoster } from '../assistant/teams/poster.ts';
import { TeamsVerifier } from '../assistant/teams/verify.ts';
import { turnListener } from '../assistant/turn-listener.ts';
import { conversationEndpoints, Newcomers } from '../assistant/waiting.ts';
import { WebhookPoster } from '../assistant/webhook/poster.ts';
import type { Channel } from '../deliveries/channel.ts';
import { applyMapping } from '../events/ingest.ts';
import { toMessage } from '../events/to-message.ts';
import { assistantDoor } from '../gateways/assistant/door.ts';
import type { Broadcasts } from '../gateways/directline/broadcast.ts';
import type { Definitions } from '../handler/notification.ts';
import type { Database } from '../kit/database.ts';
import type { Emit, Signal } from '../kit/signals.ts';
import type { Broker } from '../topics/broker.ts';
import type { Assistant } from './assistant.ts';
import type { LoadedConnections } from './config/connections.ts';
import type { LoadedConfig } from './config/load.ts';
import type { Settings } from './settings-table.ts';

export type ProactiveDeps = {
  readonly database: Database;
  readonly emit: Emit<Signal>;
  readonly settings: Settings;
  readonly connections: LoadedConnections;
  readonly definitions: Definitions;
  readonly assistant: Assistant;
  readonly decisions: Decisions;
  readonly displayName: string;
  /** This run of the node, see kit/run.ts. */
  readonly run: number;
  /** Called after deliveries were planned. */
  readonly planned: () => void;
};

export type Proactive = {
  readonly channel: Channel;
  /** For the handler: who can be reached in a conversation. */
  readonly endpoints: ReturnType<typeof conversationEndpoints>;
  readonly door: ReturnType<typeof assistantDoor>;
  readonly editor: CardEditor;
  readonly posters: readonly Poster[];
  readonly newcomers: Newcomers;
};

/** Listens to turns and decisions from now on; start the editor when the decisions start. */
export function openProactive(deps: ProactiveDeps): Proactive {
  const { database, emit, settings, connections, assistant, decisions } = deps;
  const wake = (ids: readonly string[]) => assistant.streams.wake(ids);
  const teams = mapValues(connections.teams, (each, name) =>
    openTeamsLine({ ...each, ...secretOf(name, 'secret', each.secret ?? settings.teamsSecret) }),
  );
  const slack = mapValues(connections.slack, (each, name) => {
    const token = secretOf(name, 'botToken', each.botToken ?? settings.slackToken);
    return new SlackLine({
      ...each,
      ...token,
      ...secretOf(name, 'signingSecret', each.signingSecret ?? settings.slackSigningSecret),
    });
  });
  const posters = [
    directLinePoster({ database, wake }),
    ...(teams.size > 0 ? [new TeamsPoster(teams)] : []),
    ...(slack.size > 0 ? [new SlackPoster(slack)] : []),
    ...(connections.webhooks.size > 0 ? [new WebhookPoster(connections.webhooks)] : []),
  ];
  const editor = new CardEditor({ database, posters, decisionsOf, emit, run: deps.run });
  const edit = () => editor.wake();
  decisions.onDecided(async ({ notices }) => {
    await requestEdits(database, notices);
    edit();
  });
  const fault = (error: unknown) => emit({ name: 'assistant.turn-failed', error } as Signal);
  const newcomers = new Newcomers({ database, planned: deps.planned, fault });
  const seen = (conversation: Conversation) => newcomers.seen(conversation);
  assistant.turns.onUserActivity(turnListener({ database, decisions, wake, edit, seen }));
  assistant.turns.onOpened((conversation) => personCame({ database, wake, seen }, conversation));
  assistant.streams.onClosed((id) => void personWent({ database }, id).catch(fault));
  const hear = openBot({ database, ...categoriesOf(deps.definitions) }, emit);
  const show = openShower(database, posters);
  if (!assistant.agents.has(DEFAULT_AGENT))
    assistant.agents.use(builtInAgent(assistant.exchange, hear, show, deps.displayName));
  const answering = { database, decisions, hear, show };
  const door = assistantDoor({
    emit,
    teams: mapValues(teams, (line, name) => ({
      verifier: new TeamsVerifier(line.connection),
      turn: { ...answering, name, line },
    })),
    slack: mapValues(slack, (line, name) => ({ turn: { ...answering, name, line, edit, emit, seen: new Set() } })),
  });
  const channel = conversationChannel({ database, posters, decisionsOf, emit, edit });
  return { channel, endpoints: conversationEndpoints(posters), door, editor, posters, newcomers };
}

/** The mapping by which the original sample's events come in; what a bot is told by `BroadcastEvent` is the same event. */
const BROADCAST_MAPPING = 'enterprise-notification';

/** Undefined where the config has no such mapping. */
export function openBroadcasts({ mappings }: LoadedConfig, broker: Pick<Broker, 'publish'>): Broadcasts | undefined {
  const mapping = mappings.find(({ name }) => name === BROADCAST_MAPPING);
  return (
    mapping && {
      topic: mapping.topic,
      publish: async ({ userId: userid, message, id: idempotencyKey }) => {
        const body = Buffer.from(JSON.stringify({ userid, message }));
        const events = applyMapping(mapping, { body, idempotencyKey }, new Date());
        await broker.publish(mapping.topic, events.map(toMessage));
        return events[0]!.id;
      },
    }
  );
}

/** What the config names, and what only a notification does. */
function categoriesOf({ all, categories }: Definitions) {
  const named = all.map(({ category }) => [category, categories.get(category) ?? {}] as const);
  const mandatory = all.filter(({ mandatory }) => mandatory !== undefined && mandatory !== false);
  return {
    categories: new Map([...categories, ...named]),
    mandatory: new Set(mandatory.map(({ category }) => category)),
  };
}

/** A secret of the settings belongs to the connection named `main`. */
function secretOf<K extends string>(name: string, key: K, value: string | undefined): Partial<Record<K, string>> {
  return value === undefined || name !== 'main' ? {} : ({ [key]: value } as Partial<Record<K, string>>);
}

function mapValues<V, R>(map: ReadonlyMap<string, V>, make: (value: V, name: string) => R): ReadonlyMap<string, R> {
  return new Map([...map].map(([name, value]) => [name, make(value, name)]));
}
