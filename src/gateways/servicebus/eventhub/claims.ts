// Owner levels over all nodes: the reader that has claimed a partition for its consumer group is a row of the database, with
// the node at which it reads. A row counts while its node is alive. What a node has itself it knows better (epochs.ts), so
// its own row never stands in its way.
import { type Database, statement } from '../../../kit/database.ts';
import { ALIVE } from '../../../topics/owner/owners.ts';

export type ReaderPlace = { readonly topic: number; readonly part: number; readonly group: string };
export type Claim = ReaderPlace & { readonly epoch: number };

const PUT = statement(
  'servicebus.event-reader.put',
  `insert into event_reader as r (topic, part, consumer_group, epoch, node) values ($1, $2, $3, $4, $5)
   on conflict (topic, part, consumer_group) do update set epoch = excluded.epoch, node = excluded.node
    where r.node = excluded.node or r.epoch <= excluded.epoch
       or not exists (select from node n where n.id = r.node and ${ALIVE})
   returning epoch`,
);
const DROP = statement(
  'servicebus.event-reader.drop',
  'delete from event_reader where topic = $1 and part = $2 and consumer_group = $3 and node = $4',
);
const DROP_ALL = statement('servicebus.event-reader.drop-all', 'delete from event_reader where node = $1');
const ELSEWHERE = statement(
  'servicebus.event-reader.elsewhere',
  `select r.topic, r.part, r.consumer_group as group, r.epoch
     from unnest($1::int[], $2::smallint[], $3::text[]) as u(topic, part, consumer_group)
     join event_reader r using (topic, part, consumer_group)
     join node n on n.id = r.node and ${ALIVE}
    where r.node <> $4`,
);

export class Claims {
  readonly #database: Database;
  readonly #node: string;

  constructor(database: Database, node: string) {
    this.#database = database;
    this.#node = node;
  }

  /** What an earlier run of this node had claimed. */
  async dropAll(): Promise<void> {
    await this.#database.query(DROP_ALL, [this.#node]);
  }

  /** Claims the place for this node. Returns the higher level that another node has there instead, if it has. */
  async put({ topic, part, group }: ReaderPlace, epoch: number): Promise<number | undefined> {
    for (;;) {
      const rows = await this.#database.query(PUT, [topic, part, group, epoch, this.#node]);
      if (rows.length > 0) return undefined;
      const [other] = await this.elsewhere([{ topic, part, group }]);
      if (other) return other.epoch; // Otherwise it has just gone.
    }
  }

  async drop({ topic, part, group }: ReaderPlace): Promise<void> {
    await this.#database.query(DROP, [topic, part, group, this.#node]);
  }

  /** Those of the places that a reader at another node has claimed. */
  elsewhere(places: readonly ReaderPlace[]): Promise<Claim[]> {
    const columns = [
      places.map((each) => each.topic),
      places.map((each) => each.part),
      places.map((each) => each.group),
    ];
    return this.#database.query<Claim>(ELSEWHERE, [...columns, this.#node]);
  }
}
