// The web pages are built on the machine that serves them, when there is no build or a source is newer than it. The
// build (about two seconds) runs beside the start of the database.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { projectFolder } from './version.ts';

const WEB = join(projectFolder, 'web');
export const pagesFolder = join(WEB, 'dist');

/** Builds the pages if need be; returns whether it did. Throws with what the build said. */
export async function ensurePages(): Promise<boolean> {
  if (!existsSync(join(WEB, 'index.html'))) return false;
  const sources = await Promise.all([WEB, join(projectFolder, 'package-lock.json')].map(newest));
  const built = await stat(join(pagesFolder, 'index.html')).catch(() => undefined);
  if (built && built.mtimeMs > Math.max(...sources)) return false;
  await build();
  return true;
}

// Beside the old one, then in its place: another server may be reading that.
async function build(): Promise<void> {
  const draft = `${pagesFolder}.${process.pid}`;
  try {
    await vite(['build', WEB, '--outDir', draft, '--logLevel', 'warn']);
    await rm(pagesFolder, { recursive: true, force: true });
    await rename(draft, pagesFolder).catch((error: NodeJS.ErrnoException) => {
      // Another server of this clone has put its own there since: it is of the same sources.
      if (error.code !== 'ENOTEMPTY') throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function vite(args: readonly string[]): Promise<void> {
  const program = join(projectFolder, 'node_modules/vite/bin/vite.js');
  const child = spawn(process.execPath, [program, ...args], {
    cwd: projectFolder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_ENV: 'production' },
  });
  const status = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  const [said, complaint] = await Promise.all([text(child.stdout), text(child.stderr)]);
  if ((await status) !== 0) throw new Error(`The web pages could not be built.\n${said}${complaint}`);
}

/** The latest modification under `path`, the build itself left out. */
async function newest(path: string): Promise<number> {
  const here = await stat(path);
  if (!here.isDirectory()) return here.mtimeMs;
  const names = (await readdir(path)).filter((name) => !name.startsWith('dist') && name !== 'node_modules');
  return Math.max(0, ...(await Promise.all(names.map((name) => newest(join(path, name))))));
}
