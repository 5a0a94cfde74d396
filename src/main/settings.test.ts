import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Refusal } from '../kit/refusal.ts';
import { readSettings } from './settings.ts';
import { explainSettings, settingsHelp } from './settings-print.ts';
import { environmentName, settingsTable } from './settings-table.ts';

describe('settings', () => {
  const folder = mkdtempSync(join(tmpdir(), 'carillon-settings-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function problemsOf(argv: readonly string[], env: Record<string, string>): readonly string[] {
    try {
      readSettings(argv, env);
    } catch (error) {
      return (error as Refusal).details.problems as string[];
    }
    return [];
  }

  it('come from their defaults when nothing is given', () => {
    const { values, sources } = readSettings([], { HOME: '/x' });
    expect(values).toMatchObject({ port: 8080, host: '127.0.0.1', dataDir: '.carillon' });
    expect(values.databaseUrl).toBeUndefined();
    expect(sources.port).toEqual({ origin: 'default', name: 'CARILLON_PORT' });
  });

  it('prefer the flag to the environment, and both to the default', () => {
    const env = { CARILLON_PORT: '1', CARILLON_HOST: '::1' };
    const { values, sources } = readSettings(['--port=2'], env);
    expect([values.port, values.host]).toEqual([2, '::1']);
    expect(sources.port).toEqual({ origin: 'flag', name: '--port' });
  });

  it('take an empty variable as not set', () => {
    expect(readSettings([], { CARILLON_PORT: '' }).values.port).toBe(8080);
  });

  it('read a secret from the file that is named, without the line end', () => {
    const file = join(folder, 'key');
    writeFileSync(file, 'a-long-enough-secret\n');
    expect(readSettings([], { CARILLON_ADMIN_KEY_FILE: file }).values.adminKey).toBe('a-long-enough-secret');
    expect(problemsOf([], { CARILLON_ADMIN_KEY_FILE: join(folder, 'none') })).toEqual([
      expect.stringContaining('ENOENT'),
    ]);
  });

  it.each([
    [{ CARILLON_PROT: '1' }, [], 'Did you mean CARILLON_PORT?'],
    [{ CARILLON_HOST_FILE: '/x' }, [], 'CARILLON_HOST_FILE is not a known setting'],
    [{}, ['--prot', '1'], 'Did you mean --port?'],
    [{}, ['--port'], '--port needs a value'],
    [{}, ['8080'], '"8080" is not expected here'],
    [{}, ['--admin-key', 'x'], 'is a secret and has no flag; set CARILLON_ADMIN_KEY'],
    [{ CARILLON_PORT: '65536' }, [], 'from 0 to 65535; it is "65536"'],
    [{ CARILLON_PORT: '80x' }, [], 'from 0 to 65535'],
    [{ CARILLON_PUBLIC_URL: 'example.org' }, [], 'must be a URL'],
    [{ CARILLON_LOG_LEVEL: 'loud' }, [], 'must be one of debug'],
    [{ CARILLON_MAIL_FROM: 'nobody' }, [], 'must be a mail address'],
    [{ CARILLON_CORS_ORIGINS: 'https://a.example/path' }, [], 'must be origins'],
  ])('refuse %j %j', (env, argv, words) => {
    expect(problemsOf(argv, env as Record<string, string>)).toEqual([expect.stringContaining(words)]);
  });

  it('report every problem at once and show no secret', () => {
    const env = { CARILLON_PORT: 'x', CARILLON_ADMIN_KEY: 'hunter2', CARILLON_UNKNOWN_THING: '1' };
    const problems = problemsOf(['--nonsense'], env);
    expect(problems).toHaveLength(4);
    expect(problems.join()).not.toContain('hunter2');
  });

  it('are explained with their origin, secrets only as set', () => {
    const explained = explainSettings(readSettings(['--port', '9000'], { CARILLON_ADMIN_KEY: 'x'.repeat(20) }));
    const of = (name: string) => explained.find((each) => each.name === name);
    expect(of('CARILLON_PORT')).toMatchObject({ value: 9000, from: 'flag --port' });
    expect(of('CARILLON_ADMIN_KEY')).toMatchObject({ value: '(secret)', from: 'environment CARILLON_ADMIN_KEY' });
    expect(of('CARILLON_SMTP_URL')).toMatchObject({ value: null, from: 'no mail is sent' });
    expect(explained).toHaveLength(Object.keys(settingsTable).length);
  });

  it('are all in the help', () => {
    for (const key of Object.keys(settingsTable)) expect(settingsHelp()).toContain(environmentName(key));
  });
});
