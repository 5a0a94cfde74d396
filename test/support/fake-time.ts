// The time of day of one process, to be set while it runs: libfaketime under it (Debian package `faketime`), its steady
// clock left alone, as on a machine whose time somebody sets.
import { globSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class FakeTime implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'carillon-time-'));
  readonly #file = join(this.#folder, 'offset');

  constructor() {
    this.set(0);
  }

  /** The clock of processes with `env` is off by so many seconds, from now on. */
  set(seconds: number): void {
    const next = `${this.#file}.next`;
    writeFileSync(next, `${seconds < 0 ? '' : '+'}${seconds}\n`);
    renameSync(next, this.#file);
  }

  get env(): Record<string, string> {
    const [library] = globSync('/usr/lib/*/faketime/libfaketime.so.1');
    if (!library) throw new Error('libfaketime is not installed: apt-get install faketime');
    return {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    };
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
