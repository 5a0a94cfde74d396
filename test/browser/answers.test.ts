// Cards that ask, in real Chromium: the budget approval of the original, from the button to the decision, on every page that
// shows it; and cards that mean harm.
import type { Browser, Locator, Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { expectAccessible, useSite, Visitor } from './browser.ts';

let server: ServerProcess;
let browser: Browser;

useSite(async (...site) => {
  [server, browser] = site;
  await server.call('PUT', '/v1/recipients/ada', { displayName: 'Ada Lovelace' });
});

// The newest: a second try asks once more.
const row = (page: Page, title: string): Locator => page.getByRole('article').filter({ hasText: title }).first();

describe('a card that asks', () => {
  it('is approved with one press, and every other page of the person follows', async () => {
    await using desk = await Visitor.come(browser);
    await using phone = await Visitor.come(browser, { viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
    const [large, small] = [await desk.signIn(server, 'ada'), await phone.signIn(server, 'ada')];
    await ask('Bob Miller', 'BUD-1');
    await openNotice(large, 'Bob Miller asks for');
    await openNotice(small, 'Bob Miller asks for');
    await large.getByText('Waits for your answer').waitFor();
    await large.getByRole('button', { name: 'Approve', exact: true }).click();
    for (const page of [large, small]) {
      await page.getByText(/^Approved? by Ada Lovelace at \d\d:\d\d$/).waitFor();
      expect(await page.getByRole('button', { name: 'Approve', exact: true }).count()).toBe(0);
    }
    await expectAccessible(large);
    await expectAccessible(small);
    expect(await decisionOf('Bob Miller asks for')).toMatchObject({ state: 'decided', actionId: 'approve' });
    expect([...desk.complaints, ...phone.complaints]).toEqual([]);
  });

  it('is found under “To answer” until somebody has answered it', async () => {
    await using visitor = await Visitor.come(browser, { viewport: { width: 390, height: 844 } });
    await server.call('PUT', '/v1/recipients/zoe', { displayName: 'Zoe' });
    const page = await visitor.signIn(server, 'zoe');
    await ask('Niki de Saint Phalle', 'BUD-Z', 'zoe');
    await page.getByRole('tab', { name: 'To answer' }).press('Enter');
    await page.getByRole('tab', { name: 'To answer', selected: true }).waitFor();
    await row(page, 'Niki de Saint Phalle').waitFor();
    await expectAccessible(page);
    const { items } = await server.call<{ items: Item[] }>('GET', '/v1/recipients/zoe/inbox?filter=needs-answer');
    expect(items).toHaveLength(1);
    await server.call('POST', `/v1/recipients/zoe/inbox/${items[0]!.id}/actions/approve`, {});
    await page.getByText('Nothing waits for you').waitFor();
    // Whoever has answered has read it.
    await page.getByRole('tab', { name: /^Unread/ }).click();
    await page.getByText('All read', { exact: true }).waitFor();
    expect(visitor.complaints).toEqual([]);
  });

  it('is rejected with a reason, which is asked for and cannot be left out', async () => {
    await using ada = await Visitor.come(browser);
    const page = await ada.signIn(server, 'ada');
    await ask('Carl Jung', 'BUD-2');
    await openNotice(page, 'Carl Jung asks for');
    await page.getByRole('button', { name: 'Reject', exact: true }).click();
    const dialog = page.getByRole('dialog', { name: 'Reject' });
    await expectAccessible(page);
    await dialog.getByRole('button', { name: 'Reject' }).click();
    await dialog.getByText('Say why in a few words').waitFor();
    expect(await decisionOf('Carl Jung asks for')).toMatchObject({ state: 'open' });
    await dialog.getByRole('textbox', { name: /Reason/ }).fill('Not in this quarter.');
    await dialog.getByRole('button', { name: 'Reject' }).click();
    await page.getByText(/^Reject(ed)? by Ada Lovelace at/).waitFor();
    await page.getByText('“Not in this quarter.”').waitFor();
    expect(await decisionOf('Carl Jung asks for')).toMatchObject({
      actionId: 'reject',
      reason: 'Not in this quarter.',
    });
    expect(ada.complaints).toEqual([]);
  });

  it('tells who was faster to whoever comes late', async () => {
    await using ada = await Visitor.come(browser);
    const page = await ada.signIn(server, 'ada');
    await ask('Dora Marsden', 'BUD-3');
    await openNotice(page, 'Dora Marsden asks for');
    await page.route(/\/stream/, (route) => route.abort()); // nobody tells this page
    await page.reload();
    await page.getByRole('button', { name: 'Reject', exact: true }).waitFor();
    const notice = await noticeOf('Dora Marsden asks for');
    await server.call('POST', `/v1/recipients/ada/inbox/${notice}/actions/approve`, {});
    await page.getByRole('button', { name: 'Reject', exact: true }).click();
    await page.getByRole('textbox', { name: /Reason/ }).fill('Too late.');
    await page.getByRole('dialog').getByRole('button', { name: 'Reject' }).click();
    await page
      .getByText(/^Approved? by Ada Lovelace at/)
      .first()
      .waitFor();
    expect(await decisionOf('Dora Marsden asks for')).toMatchObject({ actionId: 'approve' });
  });
});

describe('a card that its author drew', () => {
  it('does no harm, even if the server had let everything through', async () => {
    await using eve = await Visitor.come(browser);
    const requests: string[] = [];
    eve.context.on('request', (request) => requests.push(request.url()));
    const page = await eve.signIn(server, 'eve');
    await ask('Eve', 'BUD-4', 'eve');
    await row(page, 'Eve asks for').waitFor();
    await page.route(/\/inbox\?/, async (route) => {
      const answer = await route.fetch();
      const { items, ...rest } = (await answer.json()) as { items: { card: object }[] };
      const drawn = items.map((item) => ({ ...item, card: { ...item.card, adaptiveCard: hostile } }));
      await route.fulfill({ response: answer, json: { ...rest, items: drawn } });
    });
    await page.reload();
    await openNotice(page, 'Eve asks for');
    const card = page.locator('.adaptive-card');
    await card.getByText('Have a look').waitFor();
    await card.getByText('<img src=x onerror').waitFor(); // as text
    expect(await card.locator('script, iframe, [onerror], [onclick]').count()).toBe(0);
    expect(await card.locator('a').evaluateAll((links) => links.map((link) => link.getAttribute('href')))).toEqual([
      'https://good.example/',
      'https://tracker.example/pixel.png', // a link, where an image was wanted
    ]);
    await card
      .getByRole('link', { name: 'Open me' })
      .or(card.getByRole('button', { name: 'Open me' }))
      .click();
    await page.getByText('Could not open the link').first().waitFor();
    expect(await page.evaluate('window.harmed')).toBeUndefined();
    expect(eve.context.pages()).toHaveLength(1);
    expect(requests.filter((url) => url.includes('tracker'))).toEqual([]);
    expect(eve.complaints).toEqual([]);
  });

  it('is answered by its own buttons with what was filled in', async () => {
    await using eve = await Visitor.come(browser);
    const page = await eve.signIn(server, 'fay');
    await ask('Fay', 'BUD-5', 'fay');
    await row(page, 'Fay asks for').waitFor();
    await page.route(/\/inbox\?/, async (route) => {
      const answer = await route.fetch();
      const { items, ...rest } = (await answer.json()) as { items: { card: object }[] };
      const drawn = items.map((item) => ({ ...item, card: { ...item.card, adaptiveCard: harmless } }));
      await route.fulfill({ response: answer, json: { ...rest, items: drawn } });
    });
    await page.reload();
    await openNotice(page, 'Fay asks for');
    const card = page.locator('.adaptive-card');
    await card.getByRole('textbox', { name: /Why/ }).fill('No room for a kiln.');
    await expectAccessible(page);
    await card.getByRole('button', { name: 'Say no' }).click();
    await page.getByText(/^Reject(ed)? by fay at/).waitFor();
    await page.getByText('“No room for a kiln.”').waitFor();
    await eventually(async () => expect(await card.getByRole('button').count()).toBe(0));
    expect(await card.getByText('A kiln, please').count()).toBe(1);
  });
});

const text = (words: string) => ({ type: 'TextBlock', text: words, wrap: true });
const hostile = {
  type: 'AdaptiveCard',
  version: '1.5',
  body: [
    text('Have a look'),
    text('<img src=x onerror="window.harmed = 1"><script>window.harmed = 2</script>'),
    text('[a trap](javascript:window.harmed=3) and [a link](https://good.example/)'),
    text('![pixel](https://tracker.example/pixel.png)'),
    { type: 'FactSet', facts: [{ title: '<b onclick="window.harmed = 4">fact</b>', value: '**bold**' }] },
  ],
  actions: [{ type: 'Action.OpenUrl', title: 'Open me', url: 'javascript:window.harmed=5' }],
};
const harmless = {
  type: 'AdaptiveCard',
  version: '1.5',
  body: [text('A kiln, please'), { type: 'Input.Text', id: 'reason', label: 'Why', isMultiline: true }],
  actions: [{ type: 'Action.Execute', id: 'reject', title: 'Say no', style: 'destructive', data: { forged: 'yes' } }],
};

async function openNotice(page: Page, title: string): Promise<void> {
  // By the keyboard: what comes in while the page loads may move the row from under a pointer between press and release.
  await row(page, title).getByRole('link').press('Enter');
  await page.getByRole('heading', { level: 1, name: title }).waitFor();
}

type Item = { readonly id: string; readonly title: string; readonly decision?: object };

async function itemOf(title: string): Promise<Item | undefined> {
  const { items } = await server.call<{ items: Item[] }>('GET', '/v1/recipients/ada/inbox?limit=20');
  return items.find((item) => item.title.startsWith(title));
}

async function noticeOf(title: string): Promise<string | undefined> {
  return (await itemOf(title))?.id;
}

async function decisionOf(title: string): Promise<object | undefined> {
  return (await itemOf(title))?.decision;
}

function ask(name: string, request: string, approver = 'ada'): Promise<unknown> {
  const data = { request, requester: { id: 'r', name }, approver, amount: 900, currency: 'EUR', purpose: 'A kiln' };
  const type = 'finance.budget.requested';
  const event = { specversion: '1.0', id: crypto.randomUUID(), source: '/test', type, data };
  const headers = { 'content-type': 'application/cloudevents+json' };
  return server.call('POST', '/v1/topics/finance/events', event, headers);
}
