// The path of a unix socket has a hard limit of about 100 bytes (sun_path: 108 on Linux, 104 on macOS), which a data
// folder deep in a tree exceeds. Then the socket gets a short name, made from the long one, in the system's temporary
// folder.
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const LONGEST = 103;

/** `path`, or a short stand-in for it when it would be too long with `spare` more bytes. */
export function shortPath(path: string, spare = 0): string {
  if (Buffer.byteLength(path) + spare <= LONGEST) return path;
  const short = `carillon-${createHash('sha256').update(path).digest('hex').slice(0, 16)}`;
  const inTemporary = join(tmpdir(), short);
  return Buffer.byteLength(inTemporary) + spare <= LONGEST ? inTemporary : join('/tmp', short);
}
