// The conversation on /me, in real Chromium with the real Web Chat: what happens arrives there by itself, is answered there, and
// is still there after a cut, a reload and a restart.
import type { Browser, Locator, Page, WebSocketRoute } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { useSite, Visitor } from './browser.ts';

let server: ServerProcess;
let browser: Browser;

useSite((...site) => {
  [server, browser] = site;
});

const chat = (page: Page): Locator => page.getByRole('region', { name: 'Assistant', exact: true });
const cardOf = (page: Page, title: string): Locator =>
  chat(page).locator('.ac-adaptiveCard').filter({ hasText: title });

describe('the conversation', () => {
  it('shows a card as it comes, and turns it to what was decided, there and in the inbox', async () => {
    await using ada = await Visitor.come(browser);
    await server.call('PUT', '/v1/recipients/ada', { displayName: 'Ada Lovelace' });
    const page = await open(ada, 'ada');
    await using phone = await Visitor.come(browser, { viewport: { width: 390, height: 844 } });
    const inbox = await phone.signIn(server, 'ada');
    await ask('Bob Miller', 'BUD-1', 'ada');
    const card = cardOf(page, 'Bob Miller asks for');
    await card.getByRole('button', { name: 'Approve' }).click();
    await card.getByText(/Approved by Ada Lovelace/).waitFor();
    expect(await card.getByRole('button', { name: 'Approve' }).count()).toBe(0);
    await inbox.getByText(/Approved by Ada Lovelace/).waitFor();
    expect(ada.complaints).toEqual([]);
  });

  it('takes a rejection with its reason', async () => {
    await using ada = await Visitor.come(browser);
    const page = await open(ada, 'ada');
    await ask('Carl Jung', 'BUD-2', 'ada');
    const card = cardOf(page, 'Carl Jung asks for');
    await card.getByRole('button', { name: 'Reject' }).click();
    await card.getByRole('textbox').fill('Not in this quarter.');
    await card
      .getByRole('button', { name: /Reject|Send/ })
      .last()
      .click();
    await card.getByText(/Rejected by Ada Lovelace/).waitFor();
    await card.getByText('Not in this quarter.').waitFor();
  });

  it('keeps every button of a card in view on a phone', async () => {
    await using ada = await Visitor.come(browser, { viewport: { width: 360, height: 740 } });
    const page = await open(ada, 'ada');
    await ask('Dora Maar', 'BUD-3', 'ada', { link: 'https://finance.example.org/requests/BUD-3' });
    const card = cardOf(page, 'Dora Maar asks for');
    const whole = (await card.boundingBox())!;
    for (const name of ['Approve', 'Reject', 'Open the request']) {
      const box = (await card.getByText(name, { exact: true }).boundingBox())!;
      expect([name, box.x >= whole.x && box.x + box.width <= whole.x + whole.width]).toEqual([name, true]);
    }
  });

  it('shows a notice that was taken back as such, there and in the inbox, with nothing of what it said', async () => {
    await using hedy = await Visitor.come(browser);
    const page = await open(hedy, 'hedy');
    await using phone = await Visitor.come(browser, { viewport: { width: 390, height: 844 } });
    const inbox = await phone.signIn(server, 'hedy');
    await joined('Maryam Mirzakhani', 'hedy');
    await cardOf(page, 'Maryam Mirzakhani has joined').waitFor();
    await inbox.getByText('Maryam Mirzakhani has joined').first().waitFor();
    const { items } = await server.call<{ items: { sequence: number }[] }>('GET', '/v1/topics/hr/events?limit=1');
    const recall = { sequence: items[0]!.sequence, reason: 'It came too early.' };
    await server.call('POST', '/v1/topics/hr/notices/recall', recall);
    await cardOf(page, 'This notice was withdrawn').getByText('It came too early.').waitFor();
    await inbox.getByText('It came too early.').first().waitFor();
    expect(await inbox.getByRole('article').filter({ hasText: 'Maryam' }).count()).toBe(0);
    expect(await chat(page).getByText('Maryam Mirzakhani').count()).toBe(0);
    expect([...hedy.complaints, ...phone.complaints]).toEqual([]);
  });

  it('brings what came while its socket was cut, and shows it all again after a reload', async () => {
    await using grace = await Visitor.come(browser);
    const sockets: WebSocketRoute[] = [];
    await grace.context.routeWebSocket(/\/stream/, (socket) => {
      sockets.push(socket);
      socket.connectToServer();
    });
    const page = await open(grace, 'grace');
    await joined('Emmy Noether', 'grace');
    await chat(page).getByText('Emmy Noether has joined').first().waitFor();
    await Promise.all(sockets.map((socket) => socket.close()));
    await joined('Mary Cartwright', 'grace');
    await chat(page).getByText('Mary Cartwright has joined').first().waitFor({ timeout: 40_000 });
    expect(await cardOf(page, 'Mary Cartwright has joined').count()).toBe(1);
    await page.reload();
    for (const name of ['Emmy Noether', 'Mary Cartwright']) {
      await cardOf(page, `${name} has joined`).waitFor();
      expect(await cardOf(page, `${name} has joined`).count()).toBe(1);
    }
  });

  it('shows nothing harmful, even if the server had let everything through', async () => {
    await using eve = await Visitor.come(browser);
    const requests: string[] = [];
    eve.context.on('request', (request) => requests.push(request.url()));
    let socket: WebSocketRoute | undefined;
    await eve.context.routeWebSocket(/\/stream/, (route) => {
      socket = route;
      route.connectToServer();
    });
    const page = await open(eve, 'eve');
    await eventually(() => expect(socket).toBeDefined());
    socket?.send(JSON.stringify({ activities: hostile, watermark: '0' }));
    await chat(page).getByText('Look at this').first().waitFor();
    await cardOf(page, 'Look at this too').waitFor();
    expect(await chat(page).locator('[onerror], [onclick], iframe, a[href^="javascript"]').count()).toBe(0);
    await cardOf(page, 'Look at this too').getByText('Open me').click();
    await page.getByText('Could not open the link').first().waitFor();
    expect(await page.evaluate('window.harmed')).toBeUndefined();
    expect(requests.filter((url) => url.includes('tracker'))).toEqual([]);
    expect(eve.context.pages()).toHaveLength(1);
  });

  it('loads Web Chat only when it is opened', async () => {
    await using alan = await Visitor.come(browser);
    const requests: string[] = [];
    alan.context.on('request', (request) => requests.push(request.url()));
    const page = await alan.signIn(server, 'alan');
    await page.getByText('Nothing yet, alan').waitFor();
    expect(requests.filter((url) => /vendor|AdaptiveCard|AssistantPanel/.test(url))).toEqual([]);
    await page.getByRole('link', { name: 'Assistant' }).click();
    await chat(page).getByRole('textbox').waitFor();
    expect(requests.filter((url) => url.includes('/vendor/'))).toHaveLength(1);
  });
});

const from = { id: 'assistant', role: 'bot' };
const timestamp = new Date().toISOString();
const hostile = [
  {
    type: 'message',
    id: 'h1',
    from,
    timestamp,
    textFormat: 'markdown',
    text: 'Look at this <img src=x onerror="window.harmed=1"> ![p](https://tracker.example/p.png) [trap](javascript:window.harmed=2)',
  },
  {
    type: 'message',
    id: 'h2',
    from,
    timestamp,
    attachments: [
      {
        contentType: 'application/vnd.microsoft.card.adaptive',
        content: {
          type: 'AdaptiveCard',
          version: '1.5',
          body: [
            { type: 'TextBlock', text: 'Look at this too <iframe src="https://tracker.example"></iframe>' },
            { type: 'TextBlock', text: '<b onclick="window.harmed=3">x</b> ![p](https://tracker.example/q.png)' },
          ],
          actions: [{ type: 'Action.OpenUrl', title: 'Open me', url: 'javascript:window.harmed=4' }],
        },
      },
    ],
  },
];

async function open(visitor: Visitor, recipientId: string): Promise<Page> {
  const page = await visitor.signIn(server, recipientId);
  await page.goto(`${server.url}/me#/assistant`);
  await chat(page).getByRole('textbox').waitFor();
  return page;
}

function ask(name: string, request: string, approver: string, more: object = {}): Promise<unknown> {
  const data = {
    request,
    requester: { id: 'r', name },
    approver,
    amount: 900,
    currency: 'EUR',
    purpose: 'A kiln',
    ...more,
  };
  return publish('finance', 'finance.budget.requested', data);
}

function joined(name: string, person: string): Promise<unknown> {
  const data = { employee: { id: name.toLowerCase(), name }, team: 'Ciphers', notify: [person] };
  return publish('hr', 'hr.employee.joined', data);
}

function publish(topic: string, type: string, data: unknown): Promise<unknown> {
  const event = { specversion: '1.0', id: crypto.randomUUID(), source: '/test', type, data };
  const headers = { 'content-type': 'application/cloudevents+json' };
  return server.call('POST', `/v1/topics/${topic}/events`, event, headers);
}
