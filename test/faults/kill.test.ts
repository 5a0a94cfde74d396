// kill -9 of the server and of its PostgreSQL at random moments, while backends publish. Every event that was
// acknowledged must become exactly one notice; one whose answer was lost may become one notice or none, never two.
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { diceOf, seedOfRun } from '../support/random.ts';
import { ADMIN_KEY, ServerProcess } from '../support/server-process.ts';

const APPROVERS = 20;
const SENDERS = 8;
const KILLS = 6;

type Page = { items: { title: string; body: string }[]; next?: string | null };
type Tally = { acknowledged: Set<string>; doubtful: Set<string>; retried: number; stop: boolean };

function budgetRequest(id: string, approver: string) {
  return {
    specversion: '1.0',
    id,
    source: '/finance',
    type: 'finance.budget.requested',
    data: { request: id, requester: { id: 'r1', name: 'Rae' }, approver, amount: 10, currency: 'EUR', purpose: id },
  };
}

/** Publishes until told to stop. Even senders repeat an event until it is acknowledged; odd ones give it up. */
async function publishOn(server: ServerProcess, sender: number, tally: Tally): Promise<void> {
  for (let n = 0; !tally.stop; n++) {
    const id = `s${sender}-${n}`;
    const body = JSON.stringify(budgetRequest(id, `approver-${n % APPROVERS}`));
    tally.doubtful.add(id);
    while (!(await publishOnce(server, body)) && sender % 2 === 0) {
      tally.retried++;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    if (tally.acknowledged.size + tally.doubtful.size > 60_000) return;
  }

  async function publishOnce(to: ServerProcess, body: string): Promise<boolean> {
    try {
      const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/cloudevents+json' };
      const signal = AbortSignal.timeout(15_000);
      const answer = await fetch(`${to.url}/v1/topics/finance/events`, { method: 'POST', headers, body, signal });
      await answer.arrayBuffer();
      if (answer.status >= 400 && answer.status < 500) throw new Error(`refused: ${answer.status}`);
      if (answer.status !== 202) return false;
      const { id } = JSON.parse(body) as { id: string };
      tally.acknowledged.add(id);
      tally.doubtful.delete(id);
      return true;
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('refused')) throw error;
      return false;
    }
  }
}

async function noticesOf(server: ServerProcess, approver: string): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | null | undefined;
  do {
    const query = `limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`;
    const page = await server.call<Page>('GET', `/v1/recipients/${approver}/inbox?${query}`);
    ids.push(...page.items.map((item) => item.body));
    cursor = page.next;
  } while (cursor);
  return ids;
}

async function allNotices(server: ServerProcess): Promise<string[]> {
  const lists = await Promise.all(Array.from({ length: APPROVERS }, (_, n) => noticesOf(server, `approver-${n}`)));
  return lists.flat();
}

describe('under load', () => {
  it('kill -9 of server and PostgreSQL loses no acknowledged event and makes no second notice', async () => {
    const seed = seedOfRun();
    const dice = diceOf(seed);
    console.log(`seed ${seed}`);
    await using server = await ServerProcess.start();
    const tally: Tally = { acknowledged: new Set(), doubtful: new Set(), retried: 0, stop: false };
    const senders = Array.from({ length: SENDERS }, (_, sender) => publishOn(server, sender, tally));
    let kills = { server: 0, postgres: 0 };
    for (let i = 0; i < KILLS; i++) {
      await new Promise((resolve) => setTimeout(resolve, 300 + dice() * 1500));
      if (i % 2 === 0) {
        await server.end('SIGKILL');
        await server.start();
        kills = { ...kills, server: kills.server + 1 };
      } else {
        await server.killPostgres();
        kills = { ...kills, postgres: kills.postgres + 1 };
        await eventually(() => server.call('GET', '/v1/recipients/approver-0/inbox?limit=1'), 60_000);
      }
    }
    const before = tally.acknowledged.size;
    await eventually(() => expect(tally.acknowledged.size).toBeGreaterThan(before), 30_000);
    tally.stop = true;
    await Promise.all(senders);

    const notices = await eventually(async () => {
      const found = await allNotices(server);
      const seen = new Set(found);
      const missing = [...tally.acknowledged].filter((id) => !seen.has(id));
      expect(missing, 'acknowledged, but no notice').toEqual([]);
      return found;
    }, 60_000);
    const unexpected = notices.filter((id) => !tally.acknowledged.has(id) && !tally.doubtful.has(id));
    expect(unexpected).toEqual([]);
    expect(notices.length, 'an event made a second notice').toBe(new Set(notices).size);
    console.log(
      `${kills.server} kills of the server, ${kills.postgres} of PostgreSQL; ${tally.acknowledged.size} acknowledged, ` +
        `${tally.doubtful.size} in doubt, ${tally.retried} repeated, ${notices.length} notices`,
    );
    expect(tally.acknowledged.size).toBeGreaterThan(500);
  });
});
