// The hubs on the dashboard, as the platform team sees them: counts that move by themselves, a key that Apple refuses, what to
// do about it, and that it was done.
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCertificate } from '../../src/kit/certificate.ts';
import { ApnsStandin } from '../standins/apns.ts';
import { eventually } from '../support/eventually.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { expectAccessible, expectNoSidewaysScroll, useSite, Visitor } from './browser.ts';

let server: ServerProcess;
let browser: Browser;
let apns: ApnsStandin;
const certificate = makeCertificate();

useSite((...site) => {
  [server, browser] = site;
});
beforeAll(async () => {
  apns = await ApnsStandin.start({ certificate });
});
afterAll(() => apns.stop());

const credentials = (more: object = {}) => {
  const endpoint = { host: '127.0.0.1', port: apns.service.port, ca: certificate.ca };
  return server.call('PUT', '/v1/hubs/main/credentials/apns', {
    ...apns.credentials,
    environment: 'sandbox',
    endpoint,
    ...more,
  });
};
const register = (id: string, address: string) =>
  server.call('PUT', `/v1/hubs/main/devices/${id}`, { platform: 'apns', address });
const test = (id: string) => server.call<{ outcome: string }>('POST', `/v1/hubs/main/devices/${id}/test`, {});
const apple = (page: Page) => page.getByRole('row', { name: /Apple/ });

describe('the hubs on the dashboard', () => {
  it('count devices and pushes while one looks', async () => {
    await credentials();
    await using team = await Visitor.come(browser);
    const page = await team.signIn(server);
    await apple(page).getByText('Not tried yet').waitFor();
    await register('phone', 'ab'.repeat(32));
    await register('old', `dead${'ab'.repeat(30)}`);
    await apple(page).getByRole('cell', { name: '2', exact: true }).waitFor();
    expect([await test('phone'), await test('old')]).toMatchObject([
      { outcome: 'Success' },
      { outcome: 'ExpiredChannel' },
    ]);
    await apple(page).getByText('Running').waitFor();
    await expectAccessible(page);

    await apple(page).getByRole('link').click();
    await page.getByRole('heading', { level: 1, name: 'Hub main' }).waitFor();
    const lane = page.getByRole('listitem').filter({ hasText: 'Apple' }).first();
    await lane.getByText('1 delivered · 1 pruned').first().waitFor();
    await lane.getByText(/Last failure .*ExpiredChannel \(Unregistered\)/).waitFor();
    await page.getByText('Nothing was sent to this hub yet').waitFor();
    await server.call('POST', '/v1/hubs/main/sends', { title: 'Lunch', platform: 'apns' });
    await page.getByText('1 Success').waitFor();
    await expectAccessible(page);
    expect(team.complaints).toEqual([]);
  });

  it('say at the top of the page that a key is refused, and what to do, until that was done', async () => {
    await credentials({ keyId: 'WRONGKEY12' });
    await using team = await Visitor.come(browser, { viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
    const page = await team.signIn(server);
    await apple(page).getByText('Not tried yet').waitFor();
    const { sends } = await server.call<{ sends: string[] }>('POST', '/v1/hubs/main/sends', {
      title: 'Lunch',
      platform: 'apns',
    });
    const alarm = page.getByRole('alert').filter({ hasText: 'Push to Apple devices of the hub main has stopped' });
    await alarm.getByText('InvalidProviderToken').waitFor();
    await alarm.getByText('carillon hub credentials set main apns').waitFor();
    await apple(page).getByText('Stopped').waitFor();
    await expectAccessible(page);
    await expectNoSidewaysScroll(page);
    await page.goto(`${server.url}/#/hubs/main`);
    await page.getByText('1 is under way').waitFor();
    await alarm.waitFor();
    await expectAccessible(page);
    await expectNoSidewaysScroll(page);

    await credentials();
    await alarm.waitFor({ state: 'detached' });
    await eventually(async () =>
      expect(await server.call('GET', `/v1/hubs/main/sends/${sends[0]}`)).toMatchObject({ state: 'Completed' }),
    );
    await page.getByText('1 is under way').waitFor({ state: 'detached' });
    expect(team.complaints).toEqual([]);
  });
});
