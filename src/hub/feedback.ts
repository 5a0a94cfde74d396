// What push services said of dead devices, kept for a while for backends that have lists of addresses of their own.

import { type Sql, statement } from '../kit/database.ts';

export type Feedback = {
  readonly number: number;
  readonly at: Date;
  readonly platform: string;
  readonly handle: string;
  readonly deviceId: string;
  readonly kind: 'installation' | 'registration';
  readonly cause: string;
};

const blockSize = 1_000;
const findBlocks = statement(
  'hub.feedback-blocks',
  `select (number / ${blockSize})::int as block, max(at) as at from hub_feedback where hub = $1
   group by 1 order by 1 limit 5000`,
);
const findBlock = statement(
  'hub.feedback-block',
  `select number, at, platform, handle, device_id as "deviceId", kind, cause from hub_feedback
   where hub = $1 and number >= $2::bigint and number < $3::bigint order by number`,
);

/** Records come in blocks, whose numbers stay. The newest one may still grow. */
export async function feedbackBlocks(sql: Sql, hub: string): Promise<{ readonly block: number; readonly at: Date }[]> {
  return sql.query(findBlocks, [hub]);
}

export async function readFeedback(sql: Sql, hub: string, block: number): Promise<Feedback[]> {
  return sql.query<Feedback>(findBlock, [hub, block * blockSize, (block + 1) * blockSize]);
}
