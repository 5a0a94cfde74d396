// The README is what a newcomer does. Its commands run here, one after the other, against a server of their own, and
// its code is the configuration of another.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { ServerProcess } from '../support/server-process.ts';

const run = promisify(execFile);

type Fence = { readonly language: string; readonly text: string };

const readme = await readFile('README.md', 'utf8');
const fences = fencesOf(readme);

function fencesOf(text: string): Fence[] {
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language, body]) => ({
    language: language!,
    text: body!,
  }));
}

/** The commands that talk to a running server: all but the two that start one and that test. */
const commands = fences.filter(({ language, text }) => language === 'sh' && !/^npm (start|test)\n$/.test(text));

describe('the README', () => {
  let server: ServerProcess;

  beforeAll(async () => {
    server = await ServerProcess.start({ keyOfItsOwn: true });
  }, 90_000);
  afterAll(() => server[Symbol.asyncDispose]());

  async function shell(text: string): Promise<string> {
    const here = text
      .replaceAll('localhost:8080', `127.0.0.1:${server.port}`)
      .replaceAll('.carillon/', `${server.dataDir}/`);
    const env = { ...process.env, CARILLON_DATA_DIR: server.dataDir };
    return (await run('bash', ['-euc', here], { env, timeout: 60_000 })).stdout;
  }

  it('names the two commands of the project, which package.json has', async () => {
    const { scripts } = JSON.parse(await readFile('package.json', 'utf8')) as { scripts: Record<string, string> };
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(['start', 'test']));
    expect(fences.filter(({ text }) => /^npm (start|test)\n$/.test(text))).toHaveLength(2);
  });

  it('publishes the first event with the answer that it shows', async () => {
    const answer = fences[fences.indexOf(commands[0]!) + 1]!;
    expect(commands[0]!.text).toContain('curl');
    expect(JSON.parse(await shell(commands[0]!.text))).toEqual(JSON.parse(answer.text));
    expect(JSON.parse(await shell(commands[0]!.text))).toMatchObject({ events: [{ duplicate: true }] });
  });

  it('shows commands that all work, in their order', async () => {
    const outputs: string[] = [];
    for (const { text } of commands.slice(1)) outputs.push(await shell(text));
    expect(outputs[0]).toMatch(/^http:\/\/\S+\/v1\/sign-in\/\S+/);
    expect(outputs[1]).toContain('budget-approval');
    expect(outputs[2]).toMatch(/hr\.employee\.[\s\S]*finance\.budget\.requested[\s\S]*account\.debited/);
  });

  it('has put the notice into the inbox of Ada', async () => {
    await eventually(async () => {
      const key = (await readFile(join(server.dataDir, 'admin-key'), 'utf8')).trim();
      const headers = { authorization: `Bearer ${key}` };
      const inbox = await server.call<{ items: { body: string }[] }>(
        'GET',
        '/v1/recipients/ada/inbox',
        undefined,
        headers,
      );
      expect(inbox.items.map((item) => item.body)).toContain('A new loom for the mill');
    });
  });

  it('links only to pages that are there', async () => {
    const links = [...readme.matchAll(/\]\(((?!http|#)[^)]+)\)/g)].map(([, target]) => target!);
    expect(links.length).toBeGreaterThan(5);
    for (const link of links) await expect(readFile(link), link).resolves.toBeDefined();
  });
});

describe('the notification of the README', () => {
  it('works as a configuration', async () => {
    const folder = await mkdtemp('test-readme-');
    const config = join(folder, 'carillon.config.ts');
    const code = fences.find(({ language }) => language === 'ts')!.text;
    await writeFile(config, code.replaceAll("'./src/", "'../src/"));
    try {
      await using server = await ServerProcess.start({ config });
      const event = (id: string, carrier: string) => ({
        specversion: '1.0',
        id,
        source: '/shop',
        type: 'shop.order.shipped',
        data: { customer: 'joan', order: id, carrier },
      });
      const type = { 'content-type': 'application/cloudevents-batch+json' };
      await server.call('POST', '/v1/topics/shop/events', [event('7', 'pickup'), event('8', 'Swift')], type);
      await eventually(async () => {
        const inbox = await server.call<{ items: { title: string }[] }>('GET', '/v1/recipients/joan/inbox');
        expect(inbox.items.map((item) => item.title)).toEqual(['Order 8 is on its way']);
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
