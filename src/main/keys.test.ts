import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ownKeys, SHARED_KEYS } from './keys.ts';
import { settingsTable } from './settings-table.ts';

const folders: string[] = [];
const freshFolder = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-keys-'));
  folders.push(folder);
  return folder;
};
const nothing = { adminKey: undefined, sasKey: undefined, hubListenKey: undefined, linkKey: undefined };

afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

describe('the keys of a server', () => {
  it('are compared between nodes, every one that a setting can hold', () => {
    const settings = Object.entries(settingsTable).filter(([, { kind }]) => kind.shows === 'key');
    expect(settings.map(([name]) => name).sort()).toEqual([...SHARED_KEYS].sort());
  });

  it('stay the same on their folder, are others on another, and are known to be made', async () => {
    const folder = await freshFolder();
    const first = await ownKeys(nothing, folder);
    expect(first.made).toEqual(SHARED_KEYS);
    expect(await ownKeys(nothing, folder)).toEqual(first);
    const other = await ownKeys(nothing, await freshFolder());
    for (const key of SHARED_KEYS) expect(other[key]).not.toBe(first[key]);
  });

  it('that are set are not made; the Listen key is then the shared access key, unless it is set too', async () => {
    const folder = await freshFolder();
    const set = { ...nothing, sasKey: 'a-shared-access-key' };
    expect(await ownKeys(set, folder)).toMatchObject({
      sasKey: 'a-shared-access-key',
      hubListenKey: 'a-shared-access-key',
      made: ['adminKey', 'linkKey'],
    });
    const all = { ...set, hubListenKey: 'the-key-that-apps-carry', adminKey: 'a'.repeat(16), linkKey: 'l'.repeat(16) };
    expect(await ownKeys(all, folder)).toMatchObject({ ...all, made: [] });
  });
});
