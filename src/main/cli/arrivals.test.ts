// `watch` against what a namespace shows of its messages: partitions as here and as in Azure, few at a time, many that have
// not come yet.
import { describe, expect, it } from 'vitest';
import { arrivals, type Lying } from './arrivals.ts';

/** Shows what lies in it in the order of the numbers, as every namespace does. */
class Entity {
  readonly lying: Lying[] = [];
  readonly most: number;

  constructor(most = 250) {
    this.most = most;
  }

  put(...sequences: readonly bigint[]): void {
    this.lying.push(...sequences.map((sequence) => ({ sequence: String(sequence), state: 'active' })));
  }

  readonly peek = async (from: bigint, max: number): Promise<readonly Lying[]> => {
    const behind = this.lying.filter(({ sequence }) => BigInt(sequence) >= from);
    const sorted = behind.sort((a, b) => (BigInt(a.sequence) < BigInt(b.sequence) ? -1 : 1));
    return sorted.slice(0, Math.min(max, this.most));
  };

  watch(): AsyncGenerator<Lying> {
    return arrivals(this.peek, 1);
  }
}

async function take(coming: AsyncGenerator<Lying>, count: number): Promise<bigint[]> {
  const taken: bigint[] = [];
  while (taken.length < count) taken.push(BigInt((await coming.next()).value.sequence));
  return taken;
}

describe.each([
  ['here', 44n],
  ['in Azure', 48n],
])('arrivals of an entity whose partitions are numbered as they are %s', (_where, bits) => {
  const number = (partition: bigint, count: number) => (partition << bits) + BigInt(count);

  it('shows later messages of lower partitions, and of partitions that had none, each once', async () => {
    const entity = new Entity();
    entity.put(number(2n, 1), number(5n, 1));
    const coming = entity.watch();
    expect(await take(coming, 2)).toEqual([number(2n, 1), number(5n, 1)]);
    const later = [number(0n, 1), number(2n, 2), number(3n, 1), number(15n, 1)];
    entity.put(...later);
    expect((await take(coming, 4)).sort()).toEqual(later.sort());
    entity.put(number(3n, 2), number(0n, 2));
    expect((await take(coming, 2)).sort()).toEqual([number(0n, 2), number(3n, 2)]);
  });

  it('shows all of them, in the order of their partition, where one comes at a time', async () => {
    const entity = new Entity(1);
    const wanted = [0n, 1n, 7n].flatMap((partition) => [1, 2, 3].map((count) => number(partition, count)));
    entity.put(...wanted);
    const taken = await take(entity.watch(), wanted.length);
    for (const partition of [0n, 1n, 7n])
      expect(taken.filter((each) => each >> bits === partition)).toEqual([1, 2, 3].map((n) => number(partition, n)));
  });

  it('shows what lies behind hundreds that are scheduled, and these when they have got another number', async () => {
    const entity = new Entity();
    const pending = { state: 'scheduled', scheduledAt: '2999-01-01T00:00:00Z', enqueuedAt: '2026-01-01T00:00:00Z' };
    for (let count = 1; count <= 300; count++) entity.lying.push({ sequence: String(number(1n, count)), ...pending });
    entity.put(number(1n, 301));
    const coming = entity.watch();
    expect(await take(coming, 1)).toEqual([number(1n, 301)]);
    const due = '2026-01-01T00:00:00Z';
    entity.lying.push({ sequence: String(number(1n, 302)), state: 'scheduled', scheduledAt: due, enqueuedAt: due });
    expect(await take(coming, 1)).toEqual([number(1n, 302)]);
  });
});

it('goes on with the other partitions while one is never empty', async () => {
  const entity = new Entity();
  const coming = arrivals(async (from, max) => {
    if (from >> 44n === 0n) entity.put(from + 1_000n); // one more with each look
    return entity.peek(from, max);
  }, 1);
  entity.put(1n, (1n << 44n) + 1n);
  expect((await take(coming, 4)).filter((sequence) => sequence >> 44n === 1n)).toHaveLength(1);
});
