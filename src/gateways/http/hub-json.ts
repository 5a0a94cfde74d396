// How a hub does, as the API shows it.
import { type Static, Type } from 'typebox';
import type { HubStatus, LaneStatus, ShownState } from '../../hub/hub-status.ts';
import { Nullable, Time } from './schemas.ts';

const Counts = Type.Object({
  delivered: Type.Integer(),
  retried: Type.Integer({ description: 'To be tried again.' }),
  pruned: Type.Integer({ description: 'The device turned out dead.' }),
  refused: Type.Integer({ description: 'Nothing will come of it.' }),
});
const states = [
  'running',
  'untried',
  'paced',
  'paused',
  'stopped',
  'failing',
  'no_credentials',
  'unsupported',
] as const;
const LaneSchema = Type.Object({
  platform: Type.String({ examples: ['apns'] }),
  devices: Nullable(Type.Integer({ description: 'Those registered; null while they are counted for the first time.' })),
  dead: Nullable(Type.Integer({ description: 'Those of them whose push service called them dead.' })),
  state: Type.Enum([...states], {
    description:
      'running; untried: nothing was pushed since the start, or since the credentials were set; paced: held to the rate that the service allows; paused: the service asked for it; stopped: it refuses the credentials; failing: it cannot be reached, or fails itself; no_credentials; unsupported: nothing is pushed to this platform.',
  }),
  cause: Type.Optional(Type.String({ description: "The service's own word where it gave one." })),
  service: Type.Optional(Type.String({ description: 'Which one, where a platform has several.' })),
  since: Type.Optional(Time()),
  until: Type.Optional(Time('When it is tried again by itself.')),
  perSecond: Type.Optional(Type.Integer({ description: 'What it is held to.' })),
  advice: Type.Optional(Type.String({ description: 'What to do about it.' })),
  pushed: Type.Object({ ...Counts.properties }, { description: 'Since the start of the process.' }),
  lastHour: Counts,
  lastFault: Nullable(Type.Object({ at: Time(), outcome: Type.String(), cause: Type.String() })),
});
export const HubStatusSchema = Type.Object({
  name: Type.String({ examples: ['main'] }),
  problem: Type.Optional(Type.String({ description: 'Why it cannot be used at all.' })),
  sends: Type.Object({
    underWay: Type.Integer({ description: 'Those that are not done yet; scheduled ones are not among them.' }),
    oldest: Nullable(Time('When the first of them began.')),
  }),
  lanes: Type.Array(LaneSchema),
});
export type ShownHubStatus = Static<typeof HubStatusSchema>;

export function shownHubStatus({ name, lanes, underWay, oldest, problem }: HubStatus): ShownHubStatus {
  return {
    name,
    ...(problem === undefined ? {} : { problem }),
    sends: { underWay, oldest: oldest?.toISOString() ?? null },
    lanes: lanes.map(shownLane),
  };
}

function shownLane({ platform, devices, dead, state, advice, total, lastHour, lastFault }: LaneStatus) {
  return {
    platform,
    devices,
    dead,
    ...shownState(state),
    ...(advice === undefined ? {} : { advice }),
    pushed: total,
    lastHour,
    lastFault: lastFault === undefined ? null : { ...lastFault, at: lastFault.at.toISOString() },
  };
}

function shownState({ kind, ...more }: ShownState) {
  const { since, until, ...rest } = more as { readonly since?: Date; readonly until?: Date }; // what each kind may have
  return {
    state: kind,
    ...rest,
    ...(since === undefined ? {} : { since: since.toISOString() }),
    ...(until === undefined ? {} : { until: until.toISOString() }),
  };
}
