// Reads the archives of npm packages (tar, POSIX.1-1988 "ustar" with the extended headers of POSIX.1-2001), as a stream,
// because one of them holds a program of 120 MB. Plain JavaScript for any Node >= 20.
const BLOCK = 512;

/**
 * Calls `onFile({ name, mode, size }, body)` for each file; it must take all of `body`, an async iterable of its bytes.
 * Folders and links are passed over, as npm does: packages have none that count.
 */
export async function readTar(chunks, onFile) {
  const bytes = new Bytes(chunks);
  let long;
  for (;;) {
    const header = await bytes.take(BLOCK);
    if (!header) return;
    if (header.every((byte) => byte === 0)) continue;
    const entry = entryOf(header);
    const padding = (BLOCK - (entry.size % BLOCK)) % BLOCK;
    if (entry.type === '0') await onFile({ ...entry, name: long ?? entry.name }, bytes.some(entry.size));
    const text = entry.type === '0' ? '' : String((await bytes.take(entry.size)) ?? '');
    // An extended header is about the entry that follows it.
    if (entry.type === 'x') long = /^\d+ path=(.*)$/m.exec(text)?.[1] ?? long;
    else if (entry.type === 'L') long = text.replace(/\0.*$/s, '');
    else if (entry.type !== 'g') long = undefined;
    await bytes.take(padding);
  }
}

function entryOf(header) {
  const name = textAt(header, 0, 100);
  const prefix = textAt(header, 257, 5) === 'ustar' ? textAt(header, 345, 155) : '';
  return {
    name: prefix ? `${prefix}/${name}` : name,
    mode: octalAt(header, 100, 8),
    size: octalAt(header, 124, 12),
    type: header[156] === 0 ? '0' : String.fromCharCode(header[156]),
  };
}

function textAt(header, start, length) {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end < 0 ? length : end);
}

function octalAt(header, start, length) {
  const value = Number.parseInt(textAt(header, start, length).trim() || '0', 8);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error('a header of the archive cannot be read');
  return value;
}

/** Bytes of a stream, by count. */
class Bytes {
  #chunks;
  #rest = Buffer.alloc(0);

  constructor(chunks) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** The next `count` bytes; undefined at the end. */
  async take(count) {
    while (this.#rest.length < count) {
      const chunk = await this.#next();
      if (!chunk) {
        if (this.#rest.length > 0) throw new Error('the archive ends too early');
        return undefined;
      }
      this.#rest = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    }
    const taken = this.#rest.subarray(0, count);
    this.#rest = this.#rest.subarray(count);
    return taken;
  }

  /** The next `count` bytes as they come. */
  async *some(count) {
    for (let left = count; left > 0; ) {
      if (this.#rest.length === 0) this.#rest = await this.#next();
      if (!this.#rest) throw new Error('the archive ends too early');
      const part = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(part.length);
      left -= part.length;
      yield part;
    }
  }

  async #next() {
    return (await this.#chunks.next()).value;
  }
}
