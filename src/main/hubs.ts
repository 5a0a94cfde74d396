// The wiring of notification hubs: from the settings and keys to the hubs, their senders, their jobs and their door.
import { deviceLine } from '../gateways/http/device-line.ts';
import type { HttpDeps } from '../gateways/http/server.ts';
import { notificationHubDoor } from '../gateways/notificationhub/door.ts';
import { registrationLine } from '../gateways/notificationhub/registration-line.ts';
import type { HubAdmin } from '../hub/hub-admin.ts';
import { HubWatch } from '../hub/hub-status.ts';
import { ensureHub } from '../hub/hubs.ts';
import { HubJobs } from '../hub/job-worker.ts';
import { HubLanes } from '../hub/lanes.ts';
import { defaultRules, type HubRule } from '../hub/rules.ts';
import { HubSender } from '../hub/sender.ts';
import type { SendLimits } from '../hub/sends.ts';
import type { TagLimits } from '../hub/tags.ts';
import type { Database } from '../kit/database.ts';
import type { Run } from '../kit/run.ts';
import { sealingKey } from '../kit/sealing.ts';
import type { Signals } from '../kit/signals.ts';
import type { LoadedConfig } from './config/load.ts';
import type { OwnKeys } from './keys.ts';
import type { Settings } from './settings-table.ts';

export type Hubs = {
  readonly lanes: HubLanes;
  readonly sender: HubSender;
  readonly jobs: HubJobs;
  readonly admin: HubAdmin;
  readonly watch: HubWatch;
  /** Of every hub. */
  readonly rules: readonly HubRule[];
};

type HubWiring = {
  readonly settings: Settings;
  readonly config: LoadedConfig;
  readonly keys: OwnKeys;
  readonly database: Database;
  readonly signals: Signals;
  readonly stack: AsyncDisposableStack;
  readonly run: Run;
};

const now = () => new Date();

/** Hubs of the config are made; sends and jobs that an earlier run left go on. */
export async function startHubs({ settings, config, keys, database, signals, stack, run }: HubWiring): Promise<Hubs> {
  const key = sealingKey(keys.linkKey);
  const subject = `mailto:${/<(.+)>/.exec(settings.mailFrom)?.[1] ?? settings.mailFrom}`;
  for (const hub of config.hubs) await ensureHub(database, key, { ...hub, subject }, now());
  const { emit } = signals;
  const lanes = stack.use(new HubLanes({ database, key, emit }));
  const watch = new HubWatch({ database, key, now }, lanes);
  stack.defer(signals.listen(watch.listener));
  const sender = stack.use(HubSender.start({ database, lanes, emit, now }));
  const tagLimits = tagLimitsOf(settings);
  const forms = { device: deviceLine(tagLimits), registration: registrationLine(tagLimits) };
  const jobs = stack.use(HubJobs.start({ database, forms, emit, now, run: run.number }));
  const admin = { database, key, subject, tagLimits, sendLimits: sendLimitsOf(settings), now };
  return {
    lanes,
    sender,
    jobs,
    admin,
    watch,
    rules: defaultRules({ fullKey: keys.sasKey, listenKey: keys.hubListenKey }),
  };
}

/** What HTTP serves of them. */
export function hubParts(
  { lanes, sender, jobs, admin, watch, rules }: Hubs,
  { emit }: Signals,
): Pick<HttpDeps, 'hubs'> & {
  readonly door: ReturnType<typeof notificationHubDoor>;
} {
  const { database } = admin;
  const wake = () => sender.wake();
  const wakeJobs = () => jobs.wake();
  return {
    hubs: { admin, defaultRules: rules, watch, push: { database, lanes, now }, wake, wakeJobs },
    door: notificationHubDoor({ database, lanes, emit, admin, defaultRules: rules, wake, wakeJobs, now }),
  };
}

/** What clients of notification hubs are configured with, with a rule's key. */
export function hubConnectionString(host: string, port: number, { name, primaryKey }: HubRule): string {
  const reachable = ['0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host;
  return `Endpoint=sb://${reachable}:${port}/;SharedAccessKeyName=${name};SharedAccessKey=${primaryKey}`;
}

function tagLimitsOf(settings: Settings): TagLimits {
  return {
    tagsPerDevice: settings.hubDeviceTags,
    tagLength: settings.hubTagLength,
    tagsInExpression: settings.hubExpressionTags,
    tagsInOrExpression: settings.hubOrTags,
  };
}

function sendLimitsOf(settings: Settings): SendLimits {
  return {
    notificationBytes: settings.hubNotificationBytes,
    batchAddresses: settings.hubBatchAddresses,
    testDevices: settings.hubTestDevices,
    daysAhead: settings.hubDaysAhead,
  };
}
