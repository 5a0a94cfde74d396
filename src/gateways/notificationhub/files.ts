// Files of jobs by the hub's own signatures, so that who has nothing but a connection string can bring and fetch them. They
// stream, which the other operations do not.

import type { Readable } from 'node:stream';
import { checkFilePath, deleteFile, fileInfo, readFile, writeFile } from '../../hub/files.ts';
import { DoorError } from './answers.ts';
import type { Answer, HubDoorDeps } from './door.ts';

/** `path` is what follows after /files/. */
export async function answerFile(
  { database, now }: HubDoorDeps,
  {
    method,
    hub,
    path,
    body,
  }: { readonly method: string; readonly hub: string; readonly path: string; readonly body: unknown },
): Promise<Answer & { readonly stream?: AsyncIterable<Buffer> }> {
  checkFilePath(path);
  if (method === 'PUT') {
    if (typeof body !== 'object' || body === null) throw new DoorError(400, 'The file has no content.');
    await writeFile(database, { hub, path }, body as Readable, now); // the parser of this route passes the stream on
    return { status: 201 };
  }
  if (method === 'DELETE') {
    await deleteFile(database, hub, path);
    return { status: 202 };
  }
  const info = await fileInfo(database, hub, path);
  if (info === undefined) throw new DoorError(404, 'There is no file of this name.');
  return {
    status: 200,
    type: 'text/plain; charset=utf-8',
    headers: { 'content-length': String(info.bytes) },
    stream: readFile(database, hub, path),
  };
}
