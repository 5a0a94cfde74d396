// The main job as people see it: a real server, a real Chromium, nothing between them. A backend says what happened,
// the person sees it without reloading, chooses otherwise, and the next one does not come; the team sees why.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Browser, Locator, Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { ADMIN_KEY, type ServerProcess } from '../support/server-process.ts';
import { expectAccessible, expectNoSidewaysScroll, useSite, Visitor } from './browser.ts';

let server: ServerProcess;
let browser: Browser;

useSite((...site) => {
  [server, browser] = site;
});

// The newest: a second try asks once more.
const row = (page: Page, title: string): Locator => page.getByRole('article').filter({ hasText: title }).first();

describe('the main job in a browser', () => {
  it('shows what a simulated backend says at once, counted and readable by keyboard alone', async () => {
    await using ada = await Visitor.come(browser);
    const page = await ada.signIn(server, 'ada');
    await page.getByText('Nothing yet, ada').waitFor();
    await page.getByRole('status').getByText('Live', { exact: true }).waitFor();

    await simulate('hr', 12);
    await row(page, 'has').first().waitFor();

    await joined('Emmy Noether', ['ada']);
    const emmy = row(page, 'Emmy Noether has joined').getByRole('link');
    await emmy.waitFor();
    await eventually(async () => expect(await page.title()).toMatch(/^\(\d+\) Inbox/));
    const unread = Number((await page.title()).match(/\d+/)?.[0]);
    expect(await page.getByRole('link', { name: /Inbox .*unread/ }).textContent()).toContain(String(unread));

    await emmy.focus();
    await page.keyboard.press('Enter');
    const heading = page.getByRole('heading', { level: 1, name: 'Emmy Noether has joined' });
    await eventually(async () => expect(await heading.evaluate((node) => node.matches(':focus'))).toBe(true));
    await eventually(async () => expect(await page.title()).toContain(unread > 1 ? `(${unread - 1})` : 'Inbox'));
    await page.keyboard.press('Escape');
    await eventually(async () => expect(await emmy.evaluate((node) => node.matches(':focus'))).toBe(true));

    await page.keyboard.press('e');
    await row(page, 'Emmy Noether has joined').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Undo' }).click();
    await row(page, 'Emmy Noether has joined').waitFor();
    await page.locator('main').focus();
    await page.keyboard.press('j'); // from anywhere into the list
    await eventually(async () => expect(await emmy.evaluate((node) => node.matches(':focus'))).toBe(true));
    expect(ada.complaints).toEqual([]);
  });

  it('does not show the next one once the preference is off, and tells the team why', async () => {
    await using grace = await Visitor.come(browser);
    const page = await grace.signIn(server, 'grace');
    await joined('Sofya Kovalevskaya', ['grace']);
    await row(page, 'Sofya Kovalevskaya has joined').waitFor();

    await page.getByRole('link', { name: 'Preferences' }).click();
    const inbox = page.getByRole('switch', { name: 'People: Inbox' });
    expect(await inbox.isChecked()).toBe(true);
    await inbox.click();
    await page.getByText('Saved', { exact: true }).first().waitFor();
    expect(await server.call('GET', '/v1/recipients/grace/preferences')).toMatchObject({
      categories: { hr: { inbox: false } },
    });

    await page.getByRole('link', { name: /^Inbox/ }).click();
    await joined('Mary Cartwright', ['grace']);
    // Her next notice of another kind comes after it has been decided about the one that must not come.
    await eventually(async () => expect(await lastDecision('grace')).toMatchObject({ outcome: 'silent' }));
    await budget('Ida Rhodes', 'grace');
    await row(page, 'Ida Rhodes asks for').waitFor();
    expect(await row(page, 'Mary Cartwright').count()).toBe(0);
    expect(grace.complaints).toEqual([]);

    await using team = await Visitor.come(browser);
    const dashboard = await team.signIn(server);
    await dashboard.getByRole('link', { name: 'hr', exact: true }).click();
    await dashboard
      .getByRole('link', { name: /hr.employee.joined/ })
      .first()
      .click();
    await dashboard.getByText('1 person not told.').waitFor();
    const story = dashboard.getByRole('article').filter({ hasText: 'grace' });
    expect(await story.textContent()).toContain('their choice for this category');

    await dashboard.getByRole('link', { name: 'grace' }).click();
    await dashboard.getByRole('heading', { name: 'grace' }).waitFor();
    await dashboard.getByRole('article').filter({ hasText: 'budget-approval' }).getByText('told').waitFor();
    expect(team.complaints).toEqual([]);
  });

  it('comes back by itself after the server was away, with what happened meanwhile', async () => {
    await using alan = await Visitor.come(browser);
    const page = await alan.signIn(server, 'alan');
    const status = page.getByRole('status');
    await status.getByText('Live', { exact: true }).waitFor();

    await server.end();
    await status.getByText('Reconnecting').waitFor();
    await page.route(/\/inbox/, (route) => route.abort());
    await server.start();
    await joined('Grete Hermann', ['alan']);
    // Only the stream may bring it: it must say where it was cut.
    await page.unroute(/\/inbox/);
    await page.route(/\/inbox\?/, (route) => route.abort());
    await row(page, 'Grete Hermann has joined').waitFor();
    await status.getByText('Live', { exact: true }).waitFor();
  });

  it('shows on one device what was done on another', async () => {
    await using phone = await Visitor.come(browser, { viewport: { width: 390, height: 844 } });
    await using desk = await Visitor.come(browser);
    const [small, large] = [await phone.signIn(server, 'katherine'), await desk.signIn(server, 'katherine')];
    await joined('Hedy Lamarr', ['katherine']);
    await row(small, 'Unread. Hedy Lamarr has joined').waitFor();
    await row(large, 'Hedy Lamarr has joined').getByRole('link').click();
    await row(small, 'Unread. Hedy Lamarr has joined').waitFor({ state: 'detached' });
    await large.getByRole('button', { name: 'Archive', exact: true }).last().click();
    await row(small, 'Hedy Lamarr has joined').waitFor({ state: 'detached' });
    await small.getByRole('tab', { name: 'Archived' }).click();
    await row(small, 'Hedy Lamarr has joined').waitFor();
  });

  it('keeps still what is being clicked, however late the browser knows whether it can be pushed to', async () => {
    await using visitor = await Visitor.come(browser);
    // As at the first visit, while the service worker is being installed.
    await visitor.context.addInitScript(`
      const late = new Promise((resolve) => { window.beReady = resolve; }).then(() => navigator.serviceWorker.getRegistration('/me'));
      if (navigator.serviceWorker) Object.defineProperty(navigator.serviceWorker, 'ready', { value: late });`);
    await joined('Hedy Lamarr', ['lea']);
    const page = await visitor.signIn(server, 'lea');
    await row(page, 'Hedy Lamarr has joined').getByRole('link').hover();
    await page.mouse.down();
    await page.evaluate('window.beReady()');
    await page.getByText('Hear of it also when this page is closed.').waitFor();
    await page.mouse.up();
    await page.getByRole('heading', { level: 1, name: 'Hedy Lamarr has joined' }).waitFor();
    expect(visitor.complaints).toEqual([]);
  });

  it('gives a command for the first event that works as it stands', async () => {
    await using team = await Visitor.come(browser);
    const page = await team.signIn(server);
    await page.getByRole('button', { name: /Send (an|your first) event/ }).click();
    const command = (await page.getByRole('region', { name: 'the curl command' }).textContent()) ?? '';
    const [, url = ''] = command.match(/POST (\S+)/) ?? [];
    const [, body = ''] = command.match(/-d '([^']*)'/) ?? [];
    const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/cloudevents+json' };
    expect((await fetch(url, { method: 'POST', headers, body })).status).toBe(202);
    await page.getByRole('button', { name: 'Send it from here' }).click();
    await page.getByText('Sent', { exact: true }).first().waitFor();
    await eventually(async () => {
      const { items } = await server.call<{ items: { title: string }[] }>('GET', '/v1/recipients/ada/inbox?limit=2');
      expect(items.map(({ title }) => title)).toEqual(Array(2).fill('Grace Hopper has joined'));
    });
  });

  it('takes a choice back that the server refuses, and says so', async () => {
    await using ada = await Visitor.come(browser);
    const page = await ada.signIn(server, 'ada');
    await page.goto(`${server.url}/me#/preferences`);
    await page.getByRole('button', { name: 'Only when … for People' }).click();
    await page.getByRole('button', { name: 'Write it as text' }).click();
    await page.getByRole('textbox', { name: 'Only when' }).fill('[data.team] === 5');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('alert').filter({ hasText: /./ }).waitFor();
    await page.getByRole('textbox', { name: 'Only when' }).fill("[data.team] = 'Ciphers'");
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Only when team is Ciphers').waitFor();

    await page.route('**/preferences', (route) => route.abort());
    const phone = page.getByRole('switch', { name: 'On my phone and computer' });
    await phone.click();
    await page
      .getByText(/Could not save your choice/)
      .first()
      .waitFor();
    expect(await phone.isChecked()).toBe(true);
  });
});

describe('somebody who is not signed in', () => {
  it('is told how to get in, on both pages', async () => {
    await using stranger = await Visitor.come(browser);
    const page = await stranger.context.newPage();
    await page.goto(`${server.url}/`);
    await page.getByRole('heading', { name: 'Sign in to the dashboard' }).waitFor();
    expect(await page.getByText('npx carillon sign-in').count()).toBe(1);
    await expectAccessible(page);
    await page.goto(`${server.url}/me`);
    await page.getByRole('heading', { name: /sign-in link/ }).waitFor();
  });

  it('gets in once by a link, and not as somebody else', async () => {
    const body = { role: 'recipient', recipientId: 'ada' };
    const { url } = await server.call<{ url: string }>('POST', '/v1/sign-in-links', body);
    await using ada = await Visitor.come(browser);
    const page = await ada.context.newPage();
    await page.goto(url);
    await page.getByRole('heading', { name: 'Inbox' }).waitFor();
    await page.goto(`${server.url}/`);
    await page.getByText('This page is for the team that runs Carillon').waitFor();

    await using late = await Visitor.come(browser);
    const second = await late.context.newPage();
    expect((await second.goto(url))?.status()).toBe(410);
    await second.goto(`${server.url}/me`);
    await second.getByRole('heading', { name: /sign-in link/ }).waitFor();
  });

  it('is told so when the session ends while the page is open', async () => {
    await using ada = await Visitor.come(browser);
    const page = await ada.signIn(server, 'ada');
    await page.getByRole('button', { name: /Signed in as/ }).click();
    await page.getByRole('menuitem', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: /sign-in link/ }).waitFor();
  });
});

describe.each([
  { colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  { colorScheme: 'dark', viewport: { width: 360, height: 740 } },
] as const)('every page, $colorScheme, $viewport.width wide', (look) => {
  it('can be used with assistive technology and does not scroll sideways', async () => {
    const asker = `Ada ${look.colorScheme}`;
    await joined('Olga Ladyzhenskaya', ['ada']);
    await budget(asker, 'ada');
    await using ada = await Visitor.come(browser, look);
    const mine = await ada.signIn(server, 'ada');
    await row(mine, `${asker} asks for`).waitFor();
    await check(mine);
    await row(mine, `${asker} asks for`).getByRole('link').click();
    await mine.getByRole('heading', { name: `${asker} asks for` }).waitFor();
    await check(mine);
    await mine.goto(`${server.url}/me#/preferences`);
    await mine.getByRole('switch').first().waitFor();
    await mine.getByRole('button', { name: 'Change for My account' }).click();
    await check(mine);

    await using team = await Visitor.come(browser, look);
    const page = await team.signIn(server);
    const places = [
      '',
      'topics/hr',
      'topics/hr/events/1',
      'people',
      'people/ada',
      'notifications',
      'deliveries',
      'nowhere',
    ];
    for (const place of places) {
      await page.goto(`${server.url}/#/${place}`);
      await page.getByText(/^Loading/).waitFor({ state: 'detached' });
      await page.getByRole('heading').first().waitFor();
      await check(page);
    }
    await page.goto(`${server.url}/#/`);
    await page.getByRole('button', { name: /Send an event/ }).click();
    await check(page);
    expect([...ada.complaints, ...team.complaints]).toEqual([]);
  });
});

async function check(page: Page): Promise<void> {
  await expectAccessible(page);
  await expectNoSidewaysScroll(page);
}

type Step = { readonly step: string; readonly outcome: string; readonly notification: string };

async function lastDecision(recipient: string): Promise<Step | undefined> {
  const { steps } = await server.call<{ steps: Step[] }>('GET', `/v1/recipients/${recipient}/trace?limit=5`);
  return steps.find(({ step }) => step === 'decide');
}

function joined(name: string, notify: readonly string[]): Promise<unknown> {
  const data = { employee: { id: name.toLowerCase().replace(' ', '.'), name }, team: 'Ciphers', notify };
  return publish('hr', 'hr.employee.joined', data);
}

function budget(name: string, approver: string): Promise<unknown> {
  const data = {
    request: 'BUD-1',
    requester: { id: 'r', name },
    approver,
    amount: 900,
    currency: 'EUR',
    purpose: 'A kiln',
  };
  return publish('finance', 'finance.budget.requested', data);
}

function publish(topic: string, type: string, data: unknown): Promise<unknown> {
  const event = { specversion: '1.0', id: crypto.randomUUID(), source: '/test', type, data };
  const headers = { 'content-type': 'application/cloudevents+json' };
  return server.call('POST', `/v1/topics/${topic}/events`, event, headers);
}

async function simulate(backend: string, count: number): Promise<void> {
  const args = ['src/main/cli.ts', 'simulate', backend, '--every', '50ms', '--count', String(count)];
  const env = { ...process.env, CARILLON_PORT: String(server.port), CARILLON_ADMIN_KEY: ADMIN_KEY };
  const child = spawn(process.execPath, args, { env, stdio: 'ignore' });
  const [status] = await once(child, 'exit');
  expect(status).toBe(0);
}
