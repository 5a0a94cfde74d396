// The guide to cards: its configuration loads and asks what the page says, its Adaptive Card is a valid one, and the answer
// that it shows is the one that a backend gets.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCard } from '../../src/assistant/cards/card.ts';
import { decideOnce } from '../../src/assistant/decisions/decide.ts';
import { QUESTION_COLUMNS, type QuestionRow } from '../../src/assistant/decisions/question.ts';
import { replyOf } from '../../src/assistant/decisions/reply.ts';
import { draftBatch } from '../../src/handler/handler.ts';
import { writeEvents } from '../../src/handler/write.ts';
import { loadConfig } from '../../src/main/config/load.ts';
import { putRecipient } from '../../src/people/recipients.ts';
import type { Message } from '../../src/topics/message.ts';
import { useDatabase } from '../support/database.ts';

const guide = await readFile('docs/cards.md', 'utf8');
const fences = (language: string) =>
  [...guide.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map((found) => found[1]!);

describe('the guide to cards', () => {
  const { database } = useDatabase();
  const file = join(process.cwd(), `cards-guide-${process.pid}.config.ts`);
  beforeAll(() => writeFile(file, fences('ts')[0]!));
  afterAll(() => rm(file));

  it('asks with the request of the page, and answers with the answer of the page', async () => {
    await database.transaction((tx) => putRecipient(tx, 'grace', { displayName: 'Grace Hopper' }));
    const { definitions } = await loadConfig(file);
    // The message as the example sends it.
    const body = /body: (\{.*\}),$/m.exec(fences('ts')[1]!)![1]!;
    const data = new Function(`return ${body}`)() as object;
    const message: Message = {
      messageId: 'leave L-17',
      correlationId: 'L-17',
      replyTo: 'hr-replies',
      contentType: 'application/json',
      properties: { type: 'hr.leave.requested' },
      body: Buffer.from(JSON.stringify(data)),
      topic: 'hr',
      partition: 0,
      sequence: 1,
      enqueuedAt: new Date(),
      deliveryCount: 0,
    };
    const now = new Date('2026-11-22T10:41:00Z');
    const drafted = await draftBatch({ database, definitions, finders: {} }, [message], now);
    const { appended } = await database.transaction((tx) => writeEvents(tx, drafted, now));
    const notice = appended.map(({ given }) => given.notice).find(({ recipientId }) => recipientId === 'grace')!;
    expect(notice.card.title).toBe('Ada asks for 3 days off');
    const answer = { noticeId: notice.id, actorId: 'grace', actionId: 'decline', surface: 'inbox' };
    await expect(decideOnce(database, answer, now)).rejects.toMatchObject({ code: 'reason_required' });
    const inputs = { reason: 'Not in this quarter.' };
    await decideOnce(database, { ...answer, inputs }, new Date('2026-11-22T10:42:00Z'));
    const [row] = await database.query<QuestionRow>(`select ${QUESTION_COLUMNS} from question q`);
    const reply = replyOf(row!, 'Grace Hopper')!;
    expect(reply).toMatchObject({ entity: 'hr-replies', message: { correlationId: 'L-17' } });
    expect(JSON.parse(Buffer.from(reply.message.body).toString())).toEqual(JSON.parse(fences('json')[1]!));
  });

  it('has an Adaptive Card that is taken, and names a fault in it as the page does', () => {
    const adaptiveCard = JSON.parse(fences('json')[0]!);
    expect(readCard({ title: 'x', adaptiveCard }).actions).toMatchObject([
      { id: 'grant', style: 'primary' },
      { id: 'decline' },
    ]);
    delete adaptiveCard.body[1].choices[0].value;
    expect(() => readCard({ title: 'x', adaptiveCard })).toThrow('adaptiveCard.body[1].choices[0].value is missing');
  });
});
