// Cursors are opaque to callers: what a list needs to go on, with the list's name, so that one is not taken for another.
import { Refusal } from '../../kit/refusal.ts';

export function encodeCursor(list: string, position: string | number | undefined): string | null {
  return position === undefined ? null : Buffer.from(`${list}\n${position}`).toString('base64url');
}

/** The position in a cursor that {@link encodeCursor} made for this list; undefined without a cursor. */
export function decodeCursor(list: string, cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const text = Buffer.from(cursor, 'base64url').toString();
  if (!text.startsWith(`${list}\n`))
    throw new Refusal('bad_request', 'The cursor is not one that this list gave out.', {
      errors: [{ field: 'query cursor', problem: 'is not one that this list gave out' }],
    });
  return text.slice(list.length + 1);
}

/** The same where the position is a whole number. */
export function decodeNumberCursor(list: string, cursor: string | undefined): number | undefined {
  const text = decodeCursor(list, cursor);
  if (text === undefined) return undefined;
  const position = Number(text);
  if (!Number.isSafeInteger(position)) throw new Refusal('bad_request', 'The cursor is damaged.');
  return position;
}
