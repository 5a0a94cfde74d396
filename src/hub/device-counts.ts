// How many devices a hub has on each platform. Counted from the index of the walk alone, and the more there are the less
// often: 1,000,000 take 0.2 s, so they are counted every 20 s at most, and only while somebody looks.

import { type Sql, statement } from '../kit/database.ts';
import { SlowAnswer } from '../kit/slow-answer.ts';

type Row = { readonly platform: string; readonly count: number };
/** By platform. */
type Counts = ReadonlyMap<string, number>;

/** `dead`: those whose push service called them dead. Null: being counted for the first time. */
export type DeviceCount = { readonly devices: number | null; readonly dead: number | null };

const countAll = statement(
  'hub.count-devices',
  'select platform, count(*)::int as count from device where hub = $1 group by platform',
);
// Nothing but the table itself knows them (1,000,000 devices: 0.8 s), so they are counted apart.
const countDead = statement(
  'hub.count-dead-devices',
  'select platform, count(*)::int as count from device where hub = $1 and gone_at is not null group by platform',
);

type Answers = { readonly all: SlowAnswer<Counts>; readonly dead: SlowAnswer<Counts> };

export class DeviceCounts {
  readonly #sql: Sql;
  readonly #hubs = new Map<string, Answers>();

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Does not wait for the first count. */
  async peek(hub: string): Promise<DeviceCounter> {
    const { all, dead } = this.#of(hub);
    const [some, gone] = await Promise.all([all.peek(), dead.peek()]);
    return new DeviceCounter(some?.value, gone?.value);
  }

  async read(hub: string): Promise<DeviceCounter> {
    const { all, dead } = this.#of(hub);
    const [some, gone] = await Promise.all([all.read(), dead.read()]);
    return new DeviceCounter(some.value, gone.value);
  }

  #of(hub: string): Answers {
    const known = this.#hubs.get(hub);
    if (known !== undefined) return known;
    const count = (text: typeof countAll) =>
      new SlowAnswer(async () => {
        const rows = await this.#sql.query<Row>(text, [hub]);
        return new Map(rows.map(({ platform, count }) => [platform, count]));
      });
    const answers = { all: count(countAll), dead: count(countDead) };
    this.#hubs.set(hub, answers);
    return answers;
  }
}

export class DeviceCounter {
  readonly #all: Counts | undefined;
  readonly #dead: Counts | undefined;

  constructor(all: Counts | undefined, dead: Counts | undefined) {
    this.#all = all;
    this.#dead = dead;
  }

  /** Those that the hub has devices of, as far as they have been counted. */
  get platforms(): readonly string[] {
    return [...(this.#all?.keys() ?? [])];
  }

  of(platform: string): DeviceCount {
    const count = (counts: Counts | undefined) => counts && (counts.get(platform) ?? 0);
    return { devices: count(this.#all) ?? null, dead: count(this.#dead) ?? null };
  }
}
