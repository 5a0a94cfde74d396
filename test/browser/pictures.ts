// Takes the pictures of the README anew: `node test/browser/pictures.ts`. A real server of its own, three backends talking for
// a while, a real Chromium.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { ensurePages } from '../../src/main/pages.ts';
import { ServerProcess } from '../support/server-process.ts';
import { startChromium, Visitor } from './browser.ts';

const folder = join(import.meta.dirname, '../../docs/pictures');
const desk = { viewport: { width: 1280, height: 800 } };
const phone = { viewport: { width: 390, height: 780 }, deviceScaleFactor: 1.5 };
const names = { ada: 'Ada Lovelace', grace: 'Grace Hopper', alan: 'Alan Turing', katherine: 'Katherine Johnson' };
const ids = Object.keys(names);

await ensurePages();
await mkdir(folder, { recursive: true });
await using server = await ServerProcess.start();
const browser = await startChromium();
try {
  await introduce();
  await pictureDashboard(browser);
  await pictureInbox(browser);
} finally {
  await browser.close();
}

async function introduce(): Promise<void> {
  for (const [id, displayName] of Object.entries(names)) {
    await server.call('PUT', `/v1/recipients/${id}`, { displayName, locale: 'en-GB' });
  }
  const quiet = { categories: { hr: { inbox: false, mobile: false, conversation: false } } };
  await server.call('PUT', '/v1/recipients/katherine/preferences', quiet);
}

async function pictureDashboard(browser: Browser): Promise<void> {
  await using team = await Visitor.come(browser, desk);
  const page = await team.signIn(server);
  await talk(page);
  await take(page, 'dashboard');
  await joined('Emmy Noether', 'Compilers');
  const { items } = await server.call<{ items: { sequence: number }[] }>('GET', '/v1/topics/hr/events?limit=1');
  await page.goto(`${server.url}/#/topics/hr/events/${items[0]?.sequence}`);
  await page.getByText('3 people concerned').waitFor();
  await take(page, 'trace');
}

// A minute of talk, so that the lines of the dashboard have something to show.
async function talk(page: Page): Promise<void> {
  for (let second = 0; second < 62; second++) {
    const wave = 1 + Math.sin(second / 6);
    const debits = Array.from({ length: Math.round(6 * wave) }, (_, i) => debit(ids[i % ids.length]!, 40 + 37 * i)); // there are four
    await Promise.all([...debits, second % 4 === 0 ? joined('Sofya Kovalevskaya', 'Ciphers') : budget(second)]);
    await page.waitForTimeout(800);
  }
}

async function pictureInbox(browser: Browser): Promise<void> {
  await server.call('POST', '/v1/recipients/ada/inbox/mark', { all: true, as: 'archived' });
  await joined('Sofya Kovalevskaya', 'Ciphers');
  await debit('ada', 1_250);
  await server.call('POST', '/v1/recipients/ada/inbox/mark', { all: true, as: 'read' });
  await joined('Mary Cartwright', 'Engines');
  await budget(1);
  await joined('Emmy Noether', 'Compilers');
  await using desktop = await Visitor.come(browser, desk);
  const page = await desktop.signIn(server, 'ada');
  await page.getByRole('link', { name: /asks for/ }).click();
  await page.getByRole('heading', { name: /asks for/ }).waitFor();
  await take(page, 'me');
  await page.goto(`${server.url}/me#/assistant`);
  const chat = page.getByRole('region', { name: 'Assistant', exact: true });
  await chat.getByRole('button', { name: 'Reject' }).first().waitFor();
  await take(page, 'assistant');
  await using mobile = await Visitor.come(browser, { ...phone, colorScheme: 'dark' });
  const small = await mobile.signIn(server, 'ada');
  await small.getByRole('link', { name: /Emmy Noether/ }).waitFor();
  await take(small, 'me-phone');
  await small.goto(`${server.url}/me#/preferences`);
  await small.getByRole('switch').first().waitFor();
  await take(small, 'preferences-phone');
  await server.call('PUT', '/v1/recipients/ada/devices/pixel', {
    platform: 'fcmv1',
    address: 'pixel',
    label: 'Pixel 9',
  });
  await small.goto(`${server.url}/me#/devices`);
  await small.getByText('Pixel 9').waitFor();
  await take(small, 'devices-phone');
}

async function take(page: Page, name: string): Promise<void> {
  await page.mouse.move(0, 0);
  await page.waitForTimeout(800); // the list has been seen, the stream says so, animations are over
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

function joined(name: string, team: string): Promise<unknown> {
  const data = {
    employee: { id: name.split(' ')[0]?.toLowerCase(), name },
    team,
    notify: ['ada', 'grace', 'katherine'],
  };
  return publish('hr', 'hr.employee.joined', data);
}

function budget(number: number): Promise<unknown> {
  const requester = { id: 'grace', name: names.grace };
  const rest = { approver: 'ada', amount: 7_450, currency: 'EUR', link: 'https://finance.example/requests/BUD-4711' };
  const purpose =
    'Two test benches for the compiler team. The old ones failed in October; the offer is valid until Friday.';
  return publish('finance', 'finance.budget.requested', {
    request: `BUD-${4711 + number}`,
    requester,
    purpose,
    ...rest,
  });
}

function debit(customer: string, amount: number): Promise<unknown> {
  const data = { customer, account: `CH-${customer}-01`, amount, currency: 'EUR', text: 'Railway tickets' };
  return publish('account', 'account.debited', data);
}

function publish(topic: string, type: string, data: unknown): Promise<unknown> {
  const event = { specversion: '1.0', id: crypto.randomUUID(), source: `/backends/${topic}`, type, data };
  return server.call('POST', `/v1/topics/${topic}/events`, event, { 'content-type': 'application/cloudevents+json' });
}
