// Files of conversations, in the database, so that every node can serve them. Whoever has the link may read: its id is
// 160 random bits. Only kinds that a browser does not run are taken.
import { randomBytes } from 'node:crypto';
import { type Sql, statement, type Tx } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';

export type NewUpload = {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly content: Uint8Array;
};
export type Upload = { readonly name: string; readonly type: string; readonly size: number; readonly content: Buffer };

const OFFICE = 'application/vnd.openxmlformats-officedocument.';
const TYPES: readonly string[] = [
  'image/png',
  'image/jpeg',
  'image/gif',
  'image/webp',
  'image/avif',
  'image/bmp',
  'audio/mpeg',
  'audio/mp4',
  'audio/ogg',
  'audio/wav',
  'audio/webm',
  'video/mp4',
  'video/webm',
  'application/pdf',
  'application/json',
  'application/zip',
  'application/msword',
  'application/vnd.ms-excel',
  'application/vnd.ms-powerpoint',
  `${OFFICE}wordprocessingml.document`,
  `${OFFICE}spreadsheetml.sheet`,
  `${OFFICE}presentationml.presentation`,
  'application/vnd.oasis.opendocument.text',
  'application/vnd.oasis.opendocument.spreadsheet',
  'text/plain',
  'text/csv',
  'text/markdown',
  'text/calendar',
  'application/octet-stream',
];

/** Makes it ready to be stored. Refuses `unsupported_media_type`, `too_large` (bytes). */
export function newUpload(
  file: { readonly name: string; readonly type: string; readonly content: Uint8Array },
  maxBytes: number,
): NewUpload {
  const type = file.type.split(';', 1)[0]!.trim().toLowerCase() || 'application/octet-stream';
  if (!TYPES.includes(type))
    throw new Refusal('unsupported_media_type', `Files of type ${type.slice(0, 100)} are not taken.`, { types: TYPES });
  if (file.content.byteLength > maxBytes)
    throw new Refusal('too_large', `A file may have ${Math.round(maxBytes / 1024)} KiB.`, { maxBytes });
  return { id: randomBytes(20).toString('base64url'), name: cleanName(file.name), type, content: file.content };
}

/** The name under which a file is kept. Names are shown and stand in headers and links: no control characters, no path. */
export function cleanName(name: string): string {
  const clean = name.replace(/^.*[/\\]/, '').replace(/[\p{Cc}\p{Cf}"]/gu, '');
  return [...clean].slice(0, 120).join('') || 'file';
}

const INSERT = statement(
  'assistant.upload-insert',
  `insert into upload (id, conversation_id, name, type, size, content, created_at)
   values ($1, $2, $3, $4, $5, $6, $7)`,
);

export async function storeUploads(
  tx: Tx,
  conversationId: string,
  uploads: readonly NewUpload[],
  now = new Date(),
): Promise<void> {
  for (const { id, name, type, content } of uploads)
    await tx.query(INSERT, [id, conversationId, name, type, content.byteLength, content, now]);
}

const FIND = statement('assistant.upload-find', 'select name, type, size, content from upload where id = $1');

export async function findUpload(sql: Sql, id: string): Promise<Upload | undefined> {
  const [row] = await sql.query<Upload>(FIND, [id]);
  return row;
}

const USED = statement(
  'assistant.upload-used',
  'select coalesce(sum(size), 0)::int8 as bytes from upload where conversation_id = $1',
);

/** Refuses (`quota_exceeded`) what would take the files of a conversation over `maxBytes`. */
export async function checkQuota(sql: Sql, conversationId: string, bytes: number, maxBytes: number): Promise<void> {
  const [row] = await sql.query<{ bytes: number }>(USED, [conversationId]);
  if (row!.bytes + bytes > maxBytes)
    throw new Refusal('quota_exceeded', `The files of a conversation may have ${maxBytes / 1024 / 1024} MiB together.`);
}
