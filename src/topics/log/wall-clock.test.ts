import { describe, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/database.ts';
import { WallClock } from './wall-clock.ts';

const HOUR = 3_600_000;

function times(start = Date.UTC(2030, 0, 1)) {
  const now = { wall: start, steady: 0 };
  const clock = () => new WallClock({ wall: () => now.wall, steady: () => now.steady });
  const pass = (ms: number) => {
    now.wall += ms;
    now.steady += ms;
  };
  return { now, clock, pass };
}

describe('the wall clock', () => {
  const { database } = useDatabase();

  it('tells a jump from the passing of time, and is not believed for an hour after one', () => {
    const { now, clock, pass } = times();
    const wall = clock();
    pass(10 * HOUR);
    expect(wall.look()).toBe(0);
    expect(wall.believable).toBe(true);
    now.wall -= 5_000;
    expect(wall.look()).toBe(-5_000);
    expect(wall.look()).toBe(0);
    pass(HOUR - 1);
    expect(wall.believable).toBe(false);
    pass(1);
    expect(wall.believable).toBe(true);
  });

  it('follows slow drift without calling it a jump', () => {
    const { now, clock, pass } = times();
    const wall = clock();
    for (let i = 0; i < 20; i++) {
      pass(1_500);
      now.wall += 400;
      expect(wall.look()).toBe(0);
    }
  });

  it('does not go back for ids, but gives in when it was hours ahead', () => {
    const { now, clock } = times();
    const wall = clock();
    const before = wall.seenAt();
    now.wall -= HOUR / 2;
    expect(wall.seenAt()).toBe(before);
    now.wall += HOUR;
    expect(wall.seenAt()).toBe(now.wall);
    now.wall -= 2 * HOUR;
    expect(wall.seenAt()).toBe(now.wall);
  });

  it('knows after a restart, and on another node, how far it had come', async () => {
    const { now, clock, pass } = times(Date.UTC(2031, 0, 1));
    await clock().share(database);
    const ahead = now.wall;
    pass(3_000);
    now.wall -= HOUR / 2;
    const restarted = clock();
    await restarted.share(database);
    expect(restarted.seenAt()).toBeGreaterThanOrEqual(ahead);
    expect(restarted.believable).toBe(false);
    now.wall -= 5 * HOUR;
    const giveIn = clock();
    await giveIn.share(database);
    expect(giveIn.seenAt()).toBe(now.wall);
  });
});
