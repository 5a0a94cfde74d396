// A watermark is the number of the last activity that a client has; opaque to the client.

import { noConversation } from '../../assistant/conversations/conversation.ts';
import { readHeads } from '../../assistant/conversations/read.ts';
import type { Sql } from '../../kit/database.ts';

/** How much of the past a page gets that comes without a watermark, as after a reload. */
export const HISTORY = 200;

/** The number after which to read. No or no valid watermark: the last {@link HISTORY}. Refuses `conversation_not_found`. */
export async function placeOf(sql: Sql, conversationId: string, watermark: string | undefined): Promise<number> {
  const head = (await readHeads(sql, [conversationId])).get(conversationId);
  if (head === undefined) throw noConversation(conversationId);
  const given = numberOf(watermark);
  // A number that was never given out would wait for the conversation to reach it.
  return given === undefined ? Math.max(0, head - HISTORY) : Math.min(given, head);
}

export function numberOf(watermark: string | undefined): number | undefined {
  return watermark !== undefined && /^\d{1,15}$/.test(watermark) ? Number(watermark) : undefined;
}
