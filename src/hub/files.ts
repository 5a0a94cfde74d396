// Files of jobs, kept in the database so that every node can go on with them. A file is a run of parts, each ending at the
// end of a line: whoever writes or reads one holds a part at a time, and a job counts in parts how far it came.

import { type Database, type Sql, statement } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import { mostPartBytes, partsOf } from './parts.ts';

export type FilePart = {
  readonly part: number;
  readonly firstLine: number;
  readonly lines: number;
  readonly content: Buffer;
};
export type FileInfo = {
  readonly path: string;
  readonly bytes: number;
  readonly lines: number;
  /** How many parts are there. */
  readonly parts: number;
  /** Nothing more will come. */
  readonly whole: boolean;
  readonly createdAt: Date;
};

const pathPattern = /^(?!.*\.\.)[\w][\w./-]{0,199}$/;
const mostFilesListed = 1_000;

const insertPart = statement(
  'hub.file-part',
  `insert into hub_file (hub, path, part, first_line, lines, content, last, created_at)
   select $1, $2, $3, coalesce((select first_line + lines from hub_file where hub = $1 and path = $2 and part = $3 - 1), 1), $4, $5, $6, $7
   where $3 = 1 or exists (select from hub_file where hub = $1 and path = $2 and part = $3 - 1 and not last)
   on conflict (hub, path, part) do nothing returning part`,
);
const findPart = statement(
  'hub.file-part-find',
  'select part, first_line, lines, content from hub_file where hub = $1 and path = $2 and part = $3',
);
const infoColumns = `path, sum(length(content))::bigint as bytes, sum(lines)::bigint as lines, max(part) as parts,
  bool_or(last) as whole, min(created_at) as created_at`;
const findInfo = statement(
  'hub.file-info',
  `select ${infoColumns} from hub_file where hub = $1 and path = $2 group by path`,
);
const listInfos = statement(
  'hub.file-list',
  `select ${infoColumns} from hub_file where hub = $1 group by path order by path limit ${mostFilesListed}`,
);
const removeFile = statement('hub.file-remove', 'delete from hub_file where hub = $1 and path = $2');

type InfoRow = Omit<FileInfo, 'createdAt'> & { readonly created_at: Date };

/** Refuses (`invalid_name`). */
export function checkFilePath(path: string): string {
  if (!pathPattern.test(path)) throw new Refusal('invalid_name', `"${path}" cannot be the name of a file.`);
  return path;
}

/**
 * Adds the next part. The same part again is as if it were not sent, so that who does not know whether it arrived may
 * repeat it. Refuses (`conflict`) a part whose predecessor is not there.
 */
export async function writePart(
  sql: Sql,
  file: { readonly hub: string; readonly path: string },
  part: { readonly part: number; readonly content: Buffer; readonly last: boolean },
  now: Date,
): Promise<void> {
  const { hub, path } = file;
  if (part.content.length > mostPartBytes)
    throw new Refusal('too_large', `A part of a file has at most ${mostPartBytes} bytes.`);
  const values = [hub, path, part.part, linesIn(part.content), part.content, part.last, now];
  const [written] = await sql.query(insertPart, values);
  if (written !== undefined) return;
  const info = await fileInfo(sql, hub, path);
  if ((info?.parts ?? 0) >= part.part) return;
  const words = `The next part of "${path}" is ${(info?.parts ?? 0) + 1}.`;
  throw new Refusal('conflict', info?.whole ? `"${path}" is whole already.` : words, { next: (info?.parts ?? 0) + 1 });
}

/** Replaces the file by what the stream brings. A stream that breaks off leaves a file that is not whole. */
export async function writeFile(
  database: Database,
  file: { readonly hub: string; readonly path: string },
  chunks: AsyncIterable<Buffer>,
  now: () => Date,
): Promise<FileInfo> {
  await deleteFile(database, file.hub, file.path);
  let number = 0;
  for await (const { content, last } of partsOf(chunks)) {
    number += 1;
    await writePart(database, file, { part: number, content, last }, now());
  }
  return (await fileInfo(database, file.hub, file.path))!;
}

export async function readPart(sql: Sql, hub: string, path: string, part: number): Promise<FilePart | undefined> {
  type PartRow = { part: number; first_line: number; lines: number; content: Buffer };
  const [row] = await sql.query<PartRow>(findPart, [hub, path, part]);
  return row && { part: row.part, firstLine: row.first_line, lines: row.lines, content: row.content };
}

export async function fileInfo(sql: Sql, hub: string, path: string): Promise<FileInfo | undefined> {
  const [row] = await sql.query<InfoRow>(findInfo, [hub, path]);
  return row && infoOf(row);
}

export async function listFiles(sql: Sql, hub: string): Promise<FileInfo[]> {
  return (await sql.query<InfoRow>(listInfos, [hub])).map(infoOf);
}

export async function deleteFile(sql: Sql, hub: string, path: string): Promise<void> {
  await sql.query(removeFile, [hub, path]);
}

/** The bytes of a file, part after part. */
export async function* readFile(sql: Sql, hub: string, path: string): AsyncGenerator<Buffer> {
  for (let part = 1; ; part += 1) {
    const found = await readPart(sql, hub, path, part);
    if (found === undefined) return;
    yield found.content;
  }
}

/** A text after the last line break counts as a line. */
function linesIn(content: Buffer): number {
  let count = 0;
  for (let at = content.indexOf(10); at >= 0; at = content.indexOf(10, at + 1)) count += 1;
  return content.length > 0 && content.at(-1) !== 10 ? count + 1 : count;
}

function infoOf({ created_at, ...rest }: InfoRow): FileInfo {
  return { ...rest, createdAt: created_at };
}
