// How a way to a push service stands, in words and colours.
import { DesktopRegular, GlobeRegular, PhoneRegular } from '@fluentui/react-icons';
import type { ReactNode } from 'react';
import { Exact } from '../kit/time.tsx';
import { type HubStats, type LaneStateName, type LaneStats, rate, type Stats } from './stats.ts';

type Words = { readonly name: string; readonly many: string; readonly icon: ReactNode };
const platforms: Readonly<Record<string, Words>> = {
  apns: { name: 'Apple', many: 'Apple devices', icon: <PhoneRegular /> },
  fcmv1: { name: 'Android', many: 'Android devices', icon: <PhoneRegular /> },
  wns: { name: 'Windows', many: 'Windows apps', icon: <DesktopRegular /> },
  browser: { name: 'Browsers', many: 'browsers', icon: <GlobeRegular /> },
};

const states: Readonly<Record<LaneStateName, { readonly words: string; readonly tone: '' | 'good' | 'warn' | 'bad' }>> =
  {
    running: { words: 'Running', tone: 'good' },
    untried: { words: 'Not tried yet', tone: '' },
    paced: { words: 'Paced', tone: 'good' },
    paused: { words: 'Paused', tone: 'warn' },
    stopped: { words: 'Stopped', tone: 'bad' },
    failing: { words: 'Failing', tone: 'bad' },
    no_credentials: { words: 'No credentials', tone: 'warn' },
    unsupported: { words: 'Not pushed to', tone: '' },
  };

export function PlatformName({ platform }: { readonly platform: string }) {
  const { name, icon } = platformOf(platform);
  return (
    <span className="grid-channel">
      {icon} {name}
    </span>
  );
}

export function platformOf(platform: string): Words {
  return platforms[platform] ?? { name: platform, many: platform, icon: <PhoneRegular /> };
}

export function StatePill({ lane: { state, until, perSecond } }: { readonly lane: LaneStats }) {
  const { words, tone } = states[state];
  return (
    <span className={tone === '' ? 'verdict' : `verdict verdict-${tone}`}>
      {words}
      {state === 'paced' && perSecond !== undefined && ` to ${rate(perSecond)}/s`}
      {state === 'paused' && until && (
        <span className="pill-more">
          {' '}
          until <Exact at={until} seconds />
        </span>
      )}
    </span>
  );
}

/** Pushes in this hub, of one platform or of all. */
export function deliveredBy(stats: Stats, hub: string, platform?: string): number {
  const lanes = stats.hubs.find(({ name }) => name === hub)?.lanes ?? [];
  return lanes
    .filter((lane) => platform === undefined || lane.platform === platform)
    .reduce((sum, { pushed }) => sum + pushed.delivered, 0);
}

/** Lanes that stand still: somebody must act. */
export function alarmsOf(hub: HubStats): LaneStats[] {
  return hub.lanes.filter(({ state }) => isAlarm(state));
}

/** Lanes of which something else is to be told. A platform without devices needs no credentials. */
export function hintsOf(hub: HubStats): LaneStats[] {
  return hub.lanes.filter(
    ({ advice, state, devices }) => advice !== undefined && !isAlarm(state) && (state !== 'no_credentials' || devices),
  );
}

export function isAlarm(state: LaneStateName): boolean {
  return state === 'stopped' || state === 'failing';
}
