import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { useServer } from '../../../test/support/http-server.ts';

const webFolder = mkdtempSync(join(tmpdir(), 'carillon-web-'));
const script = 'export const answer = 42;\n'.repeat(100);
for (const folder of ['assets', 'me']) mkdirSync(join(webFolder, folder));
writeFileSync(join(webFolder, 'index.html'), '<!doctype html><title>Dashboard</title>');
writeFileSync(join(webFolder, 'me/index.html'), '<!doctype html><title>Mine</title>');
writeFileSync(join(webFolder, 'assets/app-1a2b.js'), script);
afterAll(() => rmSync(webFolder, { recursive: true }));

const http = useServer({ webFolder, corsOrigins: ['https://intranet.example'], publicUrl: 'https://bells.example' });
// `publicUrl` is what people see; the tests go where the server listens.
const at = (path: string) => `http://127.0.0.1:${http.server.port}${path}`;
const get = (path: string, headers: Record<string, string> = {}) => fetch(at(path), { headers, redirect: 'manual' });

describe('pages', () => {
  it('come with a strict policy and without a key', async () => {
    for (const [path, title] of [
      ['/', 'Dashboard'],
      ['/me', 'Mine'],
      ['/me/', 'Mine'],
      ['/index.html', 'Dashboard'],
    ] as const) {
      const answer = await get(path);
      expect([path, answer.status, await answer.text()]).toEqual([path, 200, expect.stringContaining(title)]);
      expect(answer.headers.get('content-security-policy')).toMatch(/default-src 'self'.*frame-ancestors 'none'/);
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
      expect(answer.headers.get('cache-control')).toBe('no-cache');
    }
  });

  it('are cached: assets for ever, the rest by their tag', async () => {
    const asset = await get('/assets/app-1a2b.js');
    expect(asset.headers.get('cache-control')).toContain('immutable');
    expect(asset.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect(asset.headers.get('content-encoding')).toBe('gzip');
    expect(await asset.text()).toBe(script);
    const plain = await get('/assets/app-1a2b.js', { 'accept-encoding': 'identity' });
    expect([plain.headers.get('content-encoding'), await plain.text()]).toEqual([null, script]);
    const again = await get('/', { 'if-none-match': (await get('/')).headers.get('etag')! });
    expect(again.status).toBe(304);
  });

  it('that are not there are a problem, not somebody else’s file', async () => {
    for (const path of [
      '/assets/nope.js',
      '/me/../package.json',
      '/assets/..%2f..%2fpackage.json',
      '/assets/%2e%2e/index.html.bak',
    ])
      expect([path, (await get(path)).status]).toEqual([path, 404]);
  });
});

describe('other origins', () => {
  const preflight = (origin: string, wanted = 'POST') =>
    fetch(at('/v1/topics/hr/events'), {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': wanted,
        'access-control-request-headers': 'authorization,ce-id,x-evil',
      },
    });

  it('that are allowed may call with a key, never with the cookie', async () => {
    const answer = await preflight('https://intranet.example');
    expect(answer.status).toBe(204);
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://intranet.example');
    expect(answer.headers.get('access-control-allow-headers')).toMatch(/authorization.*ce-id/);
    expect(answer.headers.get('access-control-allow-headers')).not.toContain('x-evil');
    expect(answer.headers.has('access-control-allow-credentials')).toBe(false);
    const problem = await get('/v1/me', { origin: 'https://intranet.example' });
    expect([problem.status, problem.headers.get('access-control-allow-origin')]).toEqual([
      401,
      'https://intranet.example',
    ]);
  });

  it('that are not allowed are not told so much as that', async () => {
    const answer = await preflight('https://evil.example');
    expect(answer.headers.has('access-control-allow-origin')).toBe(false);
    expect((await get('/', { origin: 'https://evil.example' })).headers.has('access-control-allow-origin')).toBe(false);
  });
});

describe('behind https', () => {
  it('the cookie is for https only, and our own origin may write with it', async () => {
    const { token } = await http.access.createLink({ role: 'recipient', recipientId: 'ada' });
    const cookie = (await get(`/v1/sign-in/${token}`)).headers.get('set-cookie')!;
    expect(cookie).toMatch(/; Secure$/);
    const put = (origin: string) =>
      fetch(at('/v1/recipients/ada/preferences'), {
        method: 'PUT',
        body: '{}',
        headers: { cookie: cookie.split(';')[0]!, origin, 'content-type': 'application/json' },
      });
    expect((await put('https://bells.example')).status).toBe(200);
    expect((await put('https://intranet.example')).status).toBe(403);
  });
});
