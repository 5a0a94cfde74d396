// The time of day can be set, forwards and backwards, while we run. Locks and waits do not hang on it (kit/clock.ts,
// steadyNow); what does hang on it by its meaning - times to live, scheduled times, windows of ids, retention - is
// guarded here: a jump is noticed, what sleeps is told, ids stay known, and nothing is thrown away by age until the
// clock has been believable for an hour.
import { type Sql, statement } from '../../kit/database.ts';

/** A step between two looks that is not the passing of time: NTP slews by less. */
const JUMP_MS = 2_000;
const HOLD_MS = 3_600_000;
/** How far back the clock may go without ids being forgotten that were seen before. */
const MOST_BACK_MS = 3_600_000;
/** How late the database may know how far the clock had come. */
const WRITE_MS = 10_000;

const ADVANCE = statement(
  'topics.clock.advance',
  `with moved as (
     update clock_mark set highest = $1
      where highest < $1::timestamptz - $2 * interval '1 millisecond' or highest > $1::timestamptz + $3 * interval '1 millisecond'
     returning highest
   )
   select coalesce((select highest from moved), (select highest from clock_mark)) as highest`,
);

type Times = { readonly wall: () => number; readonly steady: () => number };

export class WallClock {
  readonly #times: Times;
  #offset: number;
  #jumpedAt = -Infinity;
  #highest = -Infinity;
  #sharedAt = -Infinity;

  constructor(times: Times = { wall: () => Date.now(), steady: () => performance.now() }) {
    this.#times = times;
    this.#offset = times.wall() - times.steady();
  }

  /** By how much the clock was set since the last look; 0 unless it was. */
  look(): number {
    const offset = this.#times.wall() - this.#times.steady();
    const jump = offset - this.#offset;
    // Small drifts are followed, so that they do not add up to a jump.
    this.#offset = offset;
    if (Math.abs(jump) < JUMP_MS) return 0;
    this.#jumpedAt = this.#times.steady();
    return jump;
  }

  /** Whether things may be thrown away because they are old. */
  get believable(): boolean {
    return this.#times.steady() - this.#jumpedAt >= HOLD_MS;
  }

  /** The time by which ids are remembered (milliseconds): it does not go back, unless by more than an hour. */
  seenAt(): number {
    const now = this.#times.wall();
    if (now >= this.#highest || this.#highest - now > MOST_BACK_MS) this.#highest = now;
    return this.#highest;
  }

  /** Tells the database, now and then, how far this clock has come, and learns how far any node's had. */
  async share(sql: Sql): Promise<void> {
    if (this.#times.steady() - this.#sharedAt < WRITE_MS) return;
    this.#sharedAt = this.#times.steady();
    const [row] = await sql.query<{ highest: Date }>(ADVANCE, [new Date(this.seenAt()), WRITE_MS, MOST_BACK_MS]);
    const known = row!.highest.getTime();
    const now = this.#times.wall();
    if (known <= now || known - now > MOST_BACK_MS) return;
    const setBack = known - now > JUMP_MS;
    if (setBack) this.#jumpedAt = this.#times.steady();
    this.#highest = Math.max(this.#highest, setBack ? known + WRITE_MS : known);
  }
}
