// A disk that is full: the data folder of a whole server lies on a small file system that is filled under load, twice.
// Senders are refused in a form that says to try again; what was acknowledged is there when there is space again.
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { QueueClient } from '../support/broker-client.ts';
import { eventually } from '../support/eventually.ts';
import { ServerProcess } from '../support/server-process.ts';
import { SmallDisk } from '../support/small-disk.ts';

const disk = SmallDisk.mount(420);
if (!disk) console.warn('NOT RUN: test/faults/disk.test.ts needs root (or sudo) to mount a small disk.');

type Answer = { readonly status: number; readonly code?: string; readonly retryable?: boolean };

describe.skipIf(!disk)('a full disk', () => {
  it('refuses senders for the time being, and loses nothing that was acknowledged', async () => {
    using small = disk!;
    await using server = await ServerProcess.start({ dataDir: join(small.folder, 'data') });
    const queue = new QueueClient(server, 'work');
    await queue.create({ lockDurationMs: 5_000, maxDeliveryCount: 1_000 });
    const [acknowledged, doubtful] = [new Set<string>(), new Set<string>()];
    const [completed, seenAgain, refusals] = [new Set<string>(), [] as string[], [] as Answer[]];
    const body = 'x'.repeat(50_000);
    let sending = true;
    const send = async (messageId: string): Promise<void> => {
      doubtful.add(messageId);
      const answer = await server
        .fetch('POST', '/v1/queues/work/messages', { messages: [{ messageId, body }] })
        .catch(() => undefined);
      if (!answer) return pause(50);
      const problem = (await answer.json()) as Answer;
      if (answer.status === 202) {
        doubtful.delete(messageId);
        acknowledged.add(messageId);
      } else {
        refusals.push({ ...problem, status: answer.status });
        await pause(20);
      }
    };
    const senders = Array.from({ length: 4 }, async (_, s) => {
      for (let n = 0; sending; n++) await send(`${s}-${n}`);
    });
    const complete = async () => {
      const messages = await queue.receive({ max: 20, waitMs: 200 });
      seenAgain.push(...messages.map(({ messageId }) => messageId).filter((id) => completed.has(id)));
      if (messages.length === 0) return;
      for (const { messageId } of await queue.complete(messages)) completed.add(messageId);
    };
    for (let round = 0; round < 2; round++) {
      const before = acknowledged.size;
      await eventually(() => expect(acknowledged.size).toBeGreaterThan(before + 20), 60_000);
      await complete();
      const refused = refusals.length;
      small.fill();
      await eventually(() => expect(refusals.length).toBeGreaterThan(refused + 10), 90_000);
      // What is completed now is completed, or its lock runs on.
      for (let i = 0; i < 3; i++) await complete();
      small.free();
    }
    const before = acknowledged.size;
    await eventually(() => expect(acknowledged.size).toBeGreaterThan(before + 20), 90_000);
    sending = false;
    await Promise.all(senders);
    console.log(`${acknowledged.size} acknowledged, ${refusals.length} refused`);
    expect(refusals.filter(({ retryable }) => retryable !== true)).toEqual([]);
    expect(refusals.filter(({ status }) => ![503, 507].includes(status))).toEqual([]);
    expect(refusals.some(({ code }) => code === 'storage_full')).toBe(true);
    await eventually(async () => {
      await complete();
      const left = [...acknowledged].filter((id) => !completed.has(id));
      expect(left.length, 'acknowledged, but not completed').toBe(0);
    }, 90_000);
    expect(seenAgain).toEqual([]);
    expect([...completed].filter((id) => !acknowledged.has(id) && !doubtful.has(id))).toEqual([]);
    expect(await queue.counts()).toMatchObject({ deadLettered: 0 });
  });
});
