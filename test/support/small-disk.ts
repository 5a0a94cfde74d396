// A file system of a few hundred megabytes (a tmpfs) that a test can fill to the last byte, and free again.
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const CHUNK = Buffer.alloc(256 * 1024);

export class SmallDisk implements Disposable {
  readonly folder: string;
  readonly #balloon: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.#balloon = join(folder, 'balloon');
  }

  /** Undefined where nobody lets us mount one (it takes root, or sudo without a password). */
  static mount(megabytes: number): SmallDisk | undefined {
    const folder = mkdtempSync(join(tmpdir(), 'carillon-disk-'));
    const mount = ['mount', '-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0777`, 'tmpfs', folder];
    if (asRoot(mount)) return new SmallDisk(folder);
    rmdirSync(folder);
    return undefined;
  }

  /** Takes all the space that is left. */
  fill(): void {
    const file = openSync(this.#balloon, 'a');
    try {
      for (let size = CHUNK.length; size >= 512; size = Math.floor(size / 2)) {
        while (wrote(file, size));
      }
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    rmSync(this.#balloon, { force: true });
  }

  [Symbol.dispose](): void {
    asRoot(['umount', '-l', this.folder]);
    rmdirSync(this.folder);
  }
}

function wrote(file: number, size: number): boolean {
  try {
    return writeSync(file, CHUNK, 0, size) === size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}

function asRoot([program, ...args]: readonly string[]): boolean {
  const command = process.getuid?.() === 0 ? [program!, ...args] : ['sudo', '-n', program!, ...args];
  return spawnSync(command[0]!, command.slice(1)).status === 0;
}
