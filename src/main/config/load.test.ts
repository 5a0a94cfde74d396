import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { DEFAULT_CONFIG, loadConfig } from './load.ts';

describe('the config file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'carillon-config-'));
  let files = 0;
  afterAll(() => rmSync(folder, { recursive: true }));

  function load(text: string) {
    const file = join(folder, `${files++}.config.ts`);
    writeFileSync(file, text);
    return loadConfig(file);
  }

  it('that is shipped is right', async () => {
    const config = await loadConfig(DEFAULT_CONFIG);
    expect(config.topics.map(({ name }) => name)).toEqual(expect.arrayContaining(['hr', 'finance', 'account']));
    expect(config.definitions.all.length).toBeGreaterThan(3);
    expect(config.mappings.map(({ name }) => name)).toContain('enterprise-notification');
  });

  it('detects duplicates on its topics unless it says otherwise', async () => {
    const { topics } = await load('export default { topics: { a: {}, b: { duplicateDetection: false } } }');
    expect(topics.map(({ settings }) => settings.duplicateDetection)).toEqual([true, false]);
  });

  it('reports all of its problems at once, with their places', async () => {
    const loading = load(`export default {
      topic: {},
      topics: { 'a b': {}, hr: { retentionMs: -1, maxSize: 2 } },
      notifications: [{ name: 'n', topic: 'hr', category: 'c', channels: ['inbox'], audience: () => [], content: () => ({}) },
        { name: 'n2', topic: 'nowhere', category: 'c', channels: ['inbox'], audience: () => [], content: () => ({}) }],
      ingest: [{ name: 'm', topic: 'nowhere', map: () => [] }, { name: 'm', topic: 'hr', map: () => [] }, {}],
      branding: 'blue',
    }`);
    await expect(loading).rejects.toThrow(/there are \d+ problems/);
    const { details } = (await loading.catch((error: unknown) => error)) as { details: { problems: string[] } };
    for (const place of [
      'topic:',
      'topics.a b:',
      'topics.hr:',
      'notifications (n2)',
      'ingest (m)',
      'ingest[1]',
      'ingest[2]',
      'branding:',
    ])
      expect(details.problems).toContainEqual(expect.stringContaining(place));
  });

  it.each([
    ['throws', 'throw new Error("broken here")', /cannot be loaded: broken here/],
    ['exports nothing', 'export const x = 1', /must end with: export default/],
    ['is no TypeScript', 'export default {{', /cannot be loaded/],
  ])('that %s is refused', async (_, text, words) => {
    await expect(load(text)).rejects.toThrow(words);
  });

  it('that is named and not there is refused', async () => {
    await expect(loadConfig(join(folder, 'none.ts'))).rejects.toThrow(/There is no file.*--config/);
  });
});
