// Push as people meet it: real browsers, each with its push service on this machine and a desktop that shows what they show.
// The server encrypts for the browser, the browser alone can read it, its service worker shows it, a click opens the notice.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensurePages } from '../../src/main/pages.ts';
import { Desktop } from '../standins/desktop.ts';
import { eventually } from '../support/eventually.ts';
import { ServerProcess } from '../support/server-process.ts';
import { AnotherBuild } from './another-build.ts';
import { startChromium, Visitor } from './browser.ts';
import { Firefox } from './firefox.ts';
import { PushServices } from './push-services.ts';
import { PushedChromium } from './pushed-chromium.ts';

type Pushed = Pick<PushedChromium, 'goto' | 'evaluate' | 'waitFor' | 'press' | 'addresses'> & AsyncDisposable;

const LEAVES_SLOWLY =
  "addEventListener('pagehide', () => { for (const end = Date.now() + 2_000; Date.now() < end; ); })";

let services: PushServices;
let server: ServerProcess;
let desktop: Desktop;

beforeAll(async () => {
  await ensurePages();
  services = await PushServices.start();
  desktop = await Desktop.start(services.folder);
  server = await ServerProcess.start({ config: services.config });
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await desktop?.stop();
  await services?.[Symbol.asyncDispose]();
});

const startPushedChromium = (): Promise<PushedChromium> =>
  PushedChromium.start({ flags: services.chromium.flags, desktop, origin: server.url });

describe.each<[string, () => Promise<Pushed>, RegExp]>([
  ['Chromium', startPushedChromium, /^Chrome on /],
  ['Firefox', () => Firefox.startPushed(services.autopush, desktop), /^Firefox on /],
])('%s', (_, start, label) => {
  let browser: Pushed;
  const person = `ada-${Math.random().toString(36).slice(2, 8)}`;
  beforeAll(async () => {
    browser = await start();
    await signIn(browser, person);
  });
  afterAll(() => browser?.[Symbol.asyncDispose]());

  it('becomes a device of the person who turns notifications on in it', async () => {
    await browser.goto(`${server.url}/me#/devices`);
    await browser.press('Turn on notifications');
    await browser.waitFor('Notifications are on in this browser');
    const [device, ...others] = await devicesOf(person);
    expect(others).toEqual([]);
    expect(device).toMatchObject({ hub: 'main', platform: 'browser', recipientId: person, reachable: true });
    expect(device?.label).toMatch(label);
    await browser.waitFor('this browser');
  });

  it('shows what is pushed, and a click opens the notice in the page that is there', async () => {
    await joined('Emmy Noether', person);
    await eventually(() => expect(desktop.shown).toMatchObject([{ title: 'Emmy Noether has joined' }]), 20_000);
    expect(desktop.shown[0]?.body).toContain('Team: Ciphers.');
    const pages = (await browser.addresses()).length;
    desktop.click(desktop.shown[0]!);
    await browser.waitFor('Emmy Noether has joined');
    const notice = await noticeOf(person, 'Emmy Noether has joined');
    await eventually(async () => expect(await browser.addresses()).toContain(`${server.url}/me#/notice/${notice}`));
    expect(await browser.addresses()).toHaveLength(pages);
    expect(desktop.shown).toEqual([]);
  });

  it('opens a page with the notice when there is none, or one that is being left', async () => {
    // Firefox asks a page whether it is still there, and waits for one that takes its time to leave.
    if (browser instanceof PushedChromium) await browser.evaluate(LEAVES_SLOWLY);
    await browser.goto('about:blank');
    await joined('Mary Cartwright', person);
    await eventually(() => expect(desktop.shown).toMatchObject([{ title: 'Mary Cartwright has joined' }]), 20_000);
    desktop.click(desktop.shown[0]!);
    const notice = await noticeOf(person, 'Mary Cartwright has joined');
    await eventually(
      async () => expect(await browser.addresses()).toContain(`${server.url}/me#/notice/${notice}`),
      20_000,
    );
  });

  it('is tested by a button', async () => {
    await browser.goto(`${server.url}/me#/devices`);
    await browser.waitFor('Notifications are on in this browser');
    await browser.press('Send a test');
    await eventually(() => expect(desktop.shown).toMatchObject([{ title: 'This device is connected' }]), 20_000);
    desktop.click(desktop.shown[0]!);
    await eventually(async () => expect((await browser.addresses()).join()).toContain('#/notice/test-'));
  });

  it('is forgotten on both sides when it is turned off', async () => {
    await browser.goto(`${server.url}/me#/devices`);
    await browser.press('Turn off');
    await browser.waitFor('Hear of it when this page is closed');
    expect(await devicesOf(person)).toEqual([]);
    expect(await subscriptionOf(browser)).toBeNull();
  });

  it('is pushed to no more once the person has signed out', async () => {
    await browser.press('Turn on notifications');
    await browser.waitFor('Notifications are on in this browser');
    expect(await devicesOf(person)).toHaveLength(1);
    await browser.press(`Signed in as ${person}`);
    await browser.press('Sign out');
    await browser.waitFor('Open your inbox with a sign-in link');
    expect(await devicesOf(person)).toEqual([]);
    expect(await subscriptionOf(browser)).toBeNull();
  });
});

describe('a browser that is on', () => {
  it('keeps the page for when there is no server, and no answer of the API', async () => {
    await using browser = await startPushedChromium();
    await signIn(browser, 'grace');
    await browser.waitFor('Nothing yet, grace');
    await browser.evaluate('navigator.serviceWorker.ready');
    await browser.context.setOffline(true);
    await browser.page.reload();
    await browser.waitFor('The server cannot be reached. Is this device online?');
    const kept =
      'caches.keys().then((names) => Promise.all(names.map((name) => caches.open(name).then((cache) => cache.keys()))))';
    const paths = `${kept}.then((lists) => lists.flat().map(({ url }) => new URL(url).pathname))`;
    const all = await browser.evaluate<string[]>(paths);
    expect(all).toContain('/me');
    expect(all.filter((path) => path.startsWith('/v'))).toEqual([]);
    await browser.context.setOffline(false);
    await browser.press('Try again');
    await browser.waitFor('Nothing yet, grace');
  });

  it('offers a new version of the page while it is open, and takes it over when it is wanted', async () => {
    await using build = await AnotherBuild.before(server);
    await using browser = await startPushedChromium();
    await signIn(browser, 'hedy'); // the cookie holds for all ports of the host
    await browser.goto(`${build.url}/me`);
    await browser.waitFor('Nothing yet, hedy');
    await browser.evaluate('navigator.serviceWorker.ready.then(() => true)');
    await browser.page.reload(); // from here on the worker holds the page
    await browser.evaluate('window.before = true');
    build.updated = true;
    await browser.evaluate(
      "navigator.serviceWorker.getRegistration('/me').then((found) => found.update()).then(() => true)",
    );
    await browser.waitFor('There is a new version of this page.');
    await browser.press('Reload');
    await eventually(async () => expect(await browser.evaluate('window.before ?? null')).toBeNull());
    await browser.waitFor('Nothing yet, hedy');
  });

  it('counts the unread ones on the icon of the app', async () => {
    await using browser = await startPushedChromium();
    await browser.page.addInitScript('navigator.setAppBadge = async (count) => { window.badge = count; }');
    await signIn(browser, 'joan');
    await joined('Ida Rhodes', 'joan');
    await joined('Mary Cartwright', 'joan');
    await eventually(async () => expect(await browser.evaluate('window.badge')).toBe(2));
  });

  it('subscribes anew when the hub has another key, and belongs to whoever signs in next', async () => {
    await using browser = await startPushedChromium();
    await signIn(browser, 'alan');
    await browser.goto(`${server.url}/me#/devices`);
    await browser.press('Turn on notifications');
    await browser.waitFor('Notifications are on in this browser');
    const [before] = await devicesOf('alan');

    await signIn(browser, 'katherine');
    await eventually(async () => expect(await devicesOf('katherine')).toMatchObject([{ id: before!.id }]));
    expect(await devicesOf('alan')).toEqual([]);

    await services.giveNewKeys();
    await server.end();
    await server.start();
    await browser.page.reload();
    await eventually(async () => expect((await devicesOf('katherine')).some(({ id }) => id !== before!.id)).toBe(true));
    await joined('Grete Hermann', 'katherine');
    await eventually(() => expect(desktop.shown).toMatchObject([{ title: 'Grete Hermann has joined' }]), 20_000);
  });
});

describe('a browser that may not', () => {
  it('says why, and how to change it', async () => {
    const browser = await startChromium();
    try {
      await using visitor = await Visitor.come(browser);
      await visitor.context.grantPermissions(['geolocation'], { origin: server.url }); // and nothing else
      const page = await visitor.signIn(server, 'grace');
      await page.goto(`${server.url}/me#/devices`);
      await page.getByRole('heading', { name: 'Notifications are blocked for this page' }).waitFor();
      await page.getByText('Set “Notifications” to “Allow”.').waitFor();
      expect(await page.getByRole('button', { name: 'Turn on notifications' }).count()).toBe(0);
    } finally {
      await browser.close();
    }
  });
});

type Device = { readonly id: string; readonly label: string | null };

async function devicesOf(person: string): Promise<readonly Device[]> {
  return (await server.call<{ items: Device[] }>('GET', `/v1/recipients/${person}/devices`)).items;
}

async function signIn(browser: Pushed, recipientId: string): Promise<void> {
  const { url } = await server.call<{ url: string }>('POST', '/v1/sign-in-links', { role: 'recipient', recipientId });
  await browser.goto(url);
}

function subscriptionOf(browser: Pushed): Promise<string | null> {
  return browser.evaluate(
    "navigator.serviceWorker.getRegistration('/me').then((found) => found.pushManager.getSubscription()).then((found) => found && found.endpoint)",
  );
}

async function noticeOf(person: string, title: string): Promise<string | undefined> {
  const path = `/v1/recipients/${person}/inbox?limit=5`;
  const { items } = await server.call<{ items: { id: string; title: string }[] }>('GET', path);
  return items.find((item) => item.title === title)?.id;
}

function joined(name: string, person: string): Promise<unknown> {
  const data = { employee: { id: name.toLowerCase(), name }, team: 'Ciphers', notify: [person] };
  const event = { specversion: '1.0', id: crypto.randomUUID(), source: '/test', type: 'hr.employee.joined', data };
  return server.call('POST', '/v1/topics/hr/events', event, { 'content-type': 'application/cloudevents+json' });
}
