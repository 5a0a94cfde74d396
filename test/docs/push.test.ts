// The pages on push: every command of theirs is run, in their order, with the stand-ins behind the hub; what they promise of
// outcomes is seen.
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Standins, startStandins } from '../standins/start.ts';
import { ADMIN_KEY, ServerProcess } from '../support/server-process.ts';

let server: ServerProcess;
let standins: Standins;
let folder: string;

beforeAll(async () => {
  [server, standins] = await Promise.all([ServerProcess.start(), startStandins()]);
  folder = await mkdtemp(join(tmpdir(), 'carillon-push-pages-'));
  const { apns, fcm, wns, webpush } = standins;
  await writeFile(join(folder, 'AuthKey_ABC123DEFG.p8'), apns.credentials.privateKey);
  await writeFile(join(folder, 'service-account.json'), JSON.stringify(fcm.account));
  await writeFile(join(folder, 'wns-secret.txt'), `${wns.credentials.secret}\n`);
  await mkdir(join(folder, 'standins'));
  await writeFile(join(folder, 'standins', 'apns.json'), JSON.stringify(standins.hubCredentials().apns));
  await writeFile(join(folder, 'subscription.json'), JSON.stringify(webpush.subscribe('ada')));
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await standins.stop();
  await rm(folder, { recursive: true });
});

/** The commands of a page. */
async function commandsOf(page: string): Promise<string[]> {
  const content = await readFile(`docs/${page}.md`, 'utf8');
  const blocks = [...content.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block]) => block!.trim());
  return blocks.flatMap((block) => block.split('\n'));
}

/** As a shell would, with the names of this test in the place of those of the page. */
async function run(command: string): Promise<string> {
  const channel = `${standins.wns.channel('ada')}`;
  const line = command
    .replace(/^carillon /, `"${process.execPath}" "${resolve('bin/carillon.js')}" `)
    .replace('https://db5p.notify.windows.com/?token=AwYAAAD...', channel)
    .replace('standins/browser-subscription.json', 'subscription.json');
  const found = { CARILLON_DATA_DIR: server.dataDir, CARILLON_ADMIN_KEY: ADMIN_KEY, URL: server.url, KEY: ADMIN_KEY };
  const child = spawn('sh', ['-c', line], { cwd: folder, env: { PATH: process.env.PATH, HOME: folder, ...found } });
  const closed = new Promise<number | null>((done) => child.once('close', done));
  const [said, complaint] = await Promise.all([text(child.stdout), text(child.stderr)]);
  expect({ command, status: await closed, complaint }).toEqual({ command, status: 0, complaint: '' });
  return said;
}

/** The credentials of the page are taken by the hub; then those of the stand-ins take their place. */
async function runPage(page: string, platform: keyof ReturnType<Standins['hubCredentials']>): Promise<string[]> {
  const said: string[] = [];
  for (const command of await commandsOf(page)) {
    const answer = await run(command);
    const sets = /hub credentials set(?!.*standins)/.test(command);
    if (sets || (platform === 'browser' && command.includes('hub show')))
      await server.call('PUT', `/v1/hubs/main/credentials/${platform}`, standins.hubCredentials()[platform]);
    if (/device test|--wait/.test(command))
      said.push(
        answer
          .trim()
          .split('\n')
          .at(-1)!
          .replace(/^nh_\S+ +/, ''),
      );
  }
  return said;
}

it('Apple devices', async () => {
  expect(await runPage('push-apns', 'apns')).toEqual([
    'Success',
    'Completed  apns: 1 Success',
    'Completed  apns: 1 Success',
    'ExpiredChannel',
    'InvalidCredentials',
  ]);
  expect(await server.call('GET', '/v1/hubs/main/devices/old-iphone')).toMatchObject({ reachable: false });
});

it('Android devices', async () => {
  const said = await runPage('push-fcm', 'fcmv1');
  expect(said.slice(0, 4)).toEqual(['Success', ...Array<string>(3).fill('Completed  fcmv1: 1 Success')]);
  for (const words of ['1 ExpiredChannel', '1 WrongToken', '1 Success']) expect(said[4]).toContain(words);
});

it('Windows apps', async () => {
  const done = 'Completed  wns: 1 Success';
  expect(await runPage('push-wns', 'wns')).toEqual(['Success', done, done]);
});

it('browsers', async () => {
  const done = 'Completed  browser: 1 Success';
  expect(await runPage('push-web', 'browser')).toEqual(['Success', done, done]);
  expect(standins.webpush.pushes.items.at(-1)).toMatchObject({ text: '{"title":"Hello"}', urgency: 'high', ttl: 600 });
});
