// Broadcast channels of Apple (iOS 18, Live Activities): one push reaches everybody whose app follows a channel, however
// many they are. Apple keeps the channels and who follows them; here is nothing but the way there.

import { Refusal } from '../kit/refusal.ts';
import type { ApnsDriver } from './drivers/apns.ts';
import { type ApnsChannels, ChannelError } from './drivers/apns-channels.ts';
import { type PushOptions, platformHeaders } from './drivers/driver.ts';
import type { HubLanes } from './lanes.ts';
import { checkJsonObject } from './message.ts';
import { type OutcomeName, outcomeName } from './outcome-name.ts';

/** All refuse in our words what Apple says no to. */
export type BroadcastLane = {
  list(): Promise<readonly string[]>;
  /** The id of the new channel, base64. `storesNewest`: who comes online later gets the newest push. */
  create(storesNewest: boolean): Promise<string>;
  remove(channel: string): Promise<void>;
  push(channel: string, payload: string, options: PushOptions): Promise<OutcomeName>;
  close(): Promise<void>;
};

/** Refuses (`not_found`), and (`conflict`) a hub without credentials of Apple. */
export async function broadcastOf(lanes: HubLanes, hub: string): Promise<BroadcastLane> {
  const broadcast = (await lanes.of(hub)).get('apns')?.broadcast;
  if (broadcast !== undefined) return broadcast;
  throw new Refusal('conflict', `The hub "${hub}" has no credentials for apns, whose channels these are.`);
}

export function broadcastLane(driver: ApnsDriver, channels: ApnsChannels): BroadcastLane {
  return {
    list: () => translated(channels.list()),
    create: (storesNewest) => translated(channels.create(storesNewest)),
    remove: (channel) => translated(channels.remove(checkChannel(channel))),
    push: async (channel, payload, options) => {
      checkJsonObject(payload);
      const headers = { ...always, ...Object.fromEntries(platformHeaders(options)) };
      const plan = driver.plan({ ...options, headers });
      const outcome = await driver.broadcast(plan, checkChannel(channel), payload);
      if (outcome.kind === 'refused' && unknownChannel.has(outcome.cause)) throw absent();
      return outcomeName('apns', outcome);
    },
    close: () => channels.close(),
  };
}

/** Apple wants to be told when it may forget it; 0 is at once. */
const always = { 'apns-push-type': 'liveactivity', 'apns-expiration': '0' };
const unknownChannel = new Set(['BadChannelId', 'ChannelNotRegistered']);

function checkChannel(channel: string): string {
  if (/^[\w+/=-]{1,200}$/.test(channel)) return channel;
  throw new Refusal('bad_request', 'A channel is called by the id that Apple gave it: base64.');
}

async function translated<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (!(error instanceof ChannelError)) throw error;
    if (unknownChannel.has(error.reason)) throw absent(error);
    if (error.reason === 'CannotCreateChannelConfig')
      throw new Refusal('quota_exceeded', 'Apple keeps no more channels for this app.', {}, error);
    if (error.status === undefined || error.status === 429 || error.status >= 500)
      throw new Refusal('busy', `Apple cannot do this right now: ${error.reason}.`, {}, error);
    throw new Refusal('conflict', `Apple says no: ${error.reason}.`, {}, error);
  }
}

function absent(cause?: unknown): Refusal {
  return new Refusal('not_found', 'Apple knows no such channel.', {}, cause);
}
