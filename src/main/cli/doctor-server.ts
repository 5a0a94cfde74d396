// What the doctor asks a server that runs: whether it serves, whether it takes our key, and what of its work lies still.
import { type Client, Refused } from './client.ts';
import type { Finding } from './doctor.ts';

/** The part of `GET /v1/stats` that is looked at. */
type Stats = {
  readonly topics: readonly {
    readonly name: string;
    readonly subscriptions: readonly { readonly name: string; readonly dead: number }[];
  }[];
  readonly deliveries: readonly { readonly channel: string; readonly dead: number }[];
  readonly hubs: readonly {
    readonly name: string;
    readonly problem?: string;
    readonly lanes: readonly Lane[];
  }[];
};
type Lane = {
  readonly platform: string;
  readonly state: string;
  readonly devices: number | null;
  readonly advice?: string;
};

/** A database that hangs must not make the doctor hang. */
const PATIENCE_MS = 10_000;
const MOST_NAMED = 5;

/** `keyFrom`: where the key comes from, in words. */
export async function examineServer(client: Client, keyFrom: string, patienceMs = PATIENCE_MS): Promise<Finding[]> {
  const ready = await checkReady(client, patienceMs);
  // A server without its database knows no keys.
  if (ready.state === 'problem') return [ready];
  try {
    const stats = await client.call<Stats>('GET', '/v1/stats', { signal: AbortSignal.timeout(patienceMs) });
    return [ready, ...deadLetters(stats), ...pushes(stats)];
  } catch (error) {
    return [ready, refusedOr(error, keyFrom, patienceMs)];
  }
}

async function checkReady(client: Client, patienceMs: number): Promise<Finding> {
  const what = 'ready';
  try {
    await client.call('GET', '/readyz', { signal: AbortSignal.timeout(patienceMs) });
    return { what, state: 'ok', detail: `${client.url} serves` };
  } catch (error) {
    const missing = error instanceof Refused ? error.problem.missing : undefined;
    const waits = Array.isArray(missing)
      ? `${client.url} waits for ${missing.join(' and ')}`
      : words(error, client.url, patienceMs);
    return { what, state: 'problem', detail: waits };
  }
}

function refusedOr(error: unknown, keyFrom: string, patienceMs: number): Finding {
  const status = error instanceof Refused ? error.status : undefined;
  if (status === 401)
    return {
      what: 'key',
      state: 'problem',
      detail: `the server does not know the key of ${keyFrom}: is it that of another server?`,
    };
  if (status === 403)
    return {
      what: 'key',
      state: 'warning',
      detail: `the key of ${keyFrom} may not read the figures (listen system:stats), so they were not looked at`,
    };
  return { what: 'figures', state: 'problem', detail: words(error, 'the server', patienceMs) };
}

function words(error: unknown, who: string, patienceMs: number): string {
  if ((error as Error).name === 'TimeoutError') return `${who} does not answer within ${patienceMs / 1000} s`;
  return (error as Error).message;
}

function deadLetters({ deliveries, topics }: Stats): Finding[] {
  const dead = deliveries.reduce((sum, each) => sum + each.dead, 0);
  const buried = topics.flatMap(({ name, subscriptions }) =>
    subscriptions.flatMap((each) => (each.dead > 0 ? [`${each.dead} of ${name}/${each.name}`] : [])),
  );
  return [
    {
      what: 'dead letters',
      state: dead > 0 ? 'warning' : 'ok',
      detail:
        dead > 0
          ? `${count(dead, 'delivery was', 'deliveries were')} given up; see: carillon dead-letter causes`
          : 'no delivery was given up',
    },
    {
      what: 'dead events',
      state: buried.length > 0 ? 'warning' : 'ok',
      detail:
        buried.length > 0
          ? `${some(buried)}; GET /v1/topics/{topic}/subscriptions/{name}/dead-letters/causes says why, POST …/dead-letters/redrive puts them back`
          : 'no event lies with the dead letters of a subscription',
    },
  ];
}

function pushes({ hubs }: Stats): Finding[] {
  const what = 'push';
  const found = hubs.flatMap((hub) => [
    ...(hub.problem ? [{ what, state: 'problem' as const, detail: `hub ${hub.name}: ${hub.problem}` }] : []),
    ...hub.lanes.flatMap((lane) => troubleOf(hub.name, lane)),
  ]);
  return found.length > 0 ? found : [{ what, state: 'ok', detail: 'no push service refuses what is sent to it' }];
}

function troubleOf(hub: string, { platform, state, devices, advice }: Lane): Finding[] {
  if (advice === undefined || (state === 'no_credentials' && !devices)) return [];
  const bad = state === 'stopped' || state === 'failing';
  return [{ what: 'push', state: bad ? 'problem' : 'warning', detail: `${platform} of hub ${hub}: ${advice}` }];
}

function some(all: readonly string[]): string {
  const more = all.length - MOST_NAMED;
  return all.slice(0, MOST_NAMED).join(', ') + (more > 0 ? ` and of ${more} others` : '');
}

function count(n: number, one: string, many: string): string {
  return `${n} ${n === 1 ? one : many}`;
}
