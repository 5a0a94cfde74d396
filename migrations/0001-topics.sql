-- The broker: catalogue, log, progress, ownership.

-- A queue is a topic with one subscription of its own that selects everything. `version` moves with every change to
-- the topic, its subscriptions or its rules: a publisher that evaluated older rules is refused and tries again.
create table topic (
  id int generated always as identity primary key,
  name text not null check (length(name) between 1 and 260),
  kind text not null check (kind in ('topic', 'queue')),
  partitions smallint not null check (partitions between 1 and 256),
  settings jsonb not null,
  version bigint not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  used_at timestamptz not null
);
create unique index topic_name on topic (lower(name));

-- `bit` is the subscription's place in the bitmaps of the log. `starts[p]` is the first sequence of partition p whose
-- bit this subscription's own rules have set; `bases[p]` is the sequence before the first that it has still to read.
-- Rewinding moves the bases and the incarnation, so that progress written before it no longer counts.
create table subscription (
  id int generated always as identity primary key,
  topic int not null references topic on delete cascade,
  name text not null check (length(name) between 1 and 50),
  bit int not null check (bit >= 0),
  settings jsonb not null,
  incarnation int not null default 1,
  starts bigint[] not null,
  bases bigint[] not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  used_at timestamptz not null,
  unique (topic, bit)
);
create unique index subscription_name on subscription (topic, lower(name));

-- A bit of a deleted subscription rests for a while before another one gets it: a publisher may still set it.
create table retired_bit (
  topic int not null references topic on delete cascade,
  bit int not null,
  retired_at timestamptz not null,
  primary key (topic, bit)
);

create table rule (
  subscription int not null references subscription on delete cascade,
  name text not null check (length(name) between 1 and 50),
  filter jsonb not null,
  action text,
  created_at timestamptz not null,
  primary key (subscription, name)
);

-- The log. One row is what one group commit appended to one topic partition: `count` records in `body` (format:
-- src/topics/block.ts). Every block starts where the one before it ended and no two start at the same sequence,
-- so numbers have no gaps and follow the order of commits. Bodies are random bytes to PostgreSQL: no compression.
create table block (
  gen int not null,
  topic int not null,
  part smallint not null,
  first_seq bigint not null,
  count int not null check (count > 0),
  enqueued_at timestamptz not null,
  nonce bytea not null,
  tally bytea not null,
  body bytea not null,
  primary key (gen, topic, part, first_seq)
) partition by list (gen);
alter table block alter column body set storage external;
create table block_1 partition of block for values in (1);
alter table block_1 alter column body set storage external;

-- The generation that is written now. A publisher share-locks the row, the rotation updates it: nobody can append to
-- a closed generation what another one has appended to its successor.
create table log_head (
  only_row boolean primary key default true check (only_row),
  gen int not null
);
insert into log_head (gen) values (1);

create table generation (
  gen int primary key,
  opened_at timestamptz not null default now(),
  closed_at timestamptz
);
insert into generation (gen) values (1);

-- Where a partition's log begins, once generations of it were dropped: numbers never start again from the beginning.
create table log_start (
  topic int not null references topic on delete cascade,
  part smallint not null,
  first_seq bigint not null,
  primary key (topic, part)
);

-- Ids seen, for duplicate detection. `slot` = class of window (10 min, 1 h, 1 d, 7 d) * 3 + slice % 3, where a slice is
-- one class of window long; the slot that is neither of this slice nor of the one before is truncated. `id` is 128 bits
-- of the SHA-256 of the message id.
create table dedup (
  slot smallint not null,
  topic int not null,
  part smallint not null,
  id uuid not null,
  slice int not null,
  sequence bigint not null,
  at timestamptz not null,
  primary key (slot, topic, part, id, slice)
) partition by list (slot);
create table dedup_0 partition of dedup for values in (0);
create table dedup_1 partition of dedup for values in (1);
create table dedup_2 partition of dedup for values in (2);
create table dedup_3 partition of dedup for values in (3);
create table dedup_4 partition of dedup for values in (4);
create table dedup_5 partition of dedup for values in (5);
create table dedup_6 partition of dedup for values in (6);
create table dedup_7 partition of dedup for values in (7);
create table dedup_8 partition of dedup for values in (8);
create table dedup_9 partition of dedup for values in (9);
create table dedup_10 partition of dedup for values in (10);
create table dedup_11 partition of dedup for values in (11);

-- A node and the end of its lease; a node whose lease has ended may be robbed of its partitions.
create table node (
  id text primary key,
  address text,
  lease_until timestamptz not null
);

-- Nodes prove to each other that they belong to this database.
create table link_secret (
  only_row boolean primary key default true check (only_row),
  secret bytea not null
);

-- Who hands out the messages of a partition. Every write of progress share-locks this row and compares the epoch.
create table partition_owner (
  topic int not null references topic on delete cascade,
  part smallint not null,
  node text not null,
  epoch int not null,
  primary key (topic, part)
) with (fillfactor = 50);

-- What subscriptions have completed, only ever appended; the truth is the union of a subscription's rows (ranges done,
-- highest delivery counts). Two slots take turns, so that the old one can be truncated: nothing is updated in place,
-- nothing bloats under a long snapshot. `kind`: 0 = what was new, 1 = everything so far (lets older rows go).
create table progress_slot (
  only_row boolean primary key default true check (only_row),
  slot smallint not null,
  switched_at timestamptz not null default now()
);
insert into progress_slot (slot) values (0);
create table progress (
  slot smallint not null,
  topic int not null,
  subscription int not null,
  part smallint not null,
  incarnation int not null,
  epoch int not null,
  kind smallint not null,
  data bytea not null
) partition by list (slot);
create table progress_0 partition of progress for values in (0) with (autovacuum_enabled = false);
create table progress_1 partition of progress for values in (1) with (autovacuum_enabled = false);

-- How far subscriptions had come when their owner last said so: what may be dropped from the log.
create table reading (
  subscription int not null references subscription on delete cascade,
  part smallint not null,
  floor bigint not null,
  primary key (subscription, part)
);

-- Messages that left the log for one subscription: with their content, so that generations can be dropped.
create table held (
  subscription int not null references subscription on delete cascade,
  part smallint not null,
  sequence bigint not null,
  state text not null check (state in ('retry', 'deferred', 'dead', 'transfer')),
  delivery_count int not null,
  enqueued_at timestamptz not null,
  expires_at timestamptz,
  visible_at timestamptz,
  held_at timestamptz not null,
  reason text,
  description text,
  source text,
  record bytea not null,
  primary key (subscription, part, sequence)
);
create index held_state on held (subscription, state, part, sequence);
create index held_cause on held (subscription, reason) where state = 'dead';

-- Messages whose time has not come.
create sequence scheduled_id increment 100;
create table scheduled (
  id bigint primary key,
  topic int not null references topic on delete cascade,
  due_at timestamptz not null,
  scheduled_at timestamptz not null,
  record bytea not null
);
create index scheduled_due on scheduled (due_at, id);
create index scheduled_topic on scheduled (topic, id);

create table session (
  subscription int not null references subscription on delete cascade,
  session text not null,
  state bytea,
  updated_at timestamptz not null,
  primary key (subscription, session)
);

-- Ends a flush whose assumptions no longer hold (rules, generation, duplicates): the whole statement is undone.
create function refuse_flush() returns int language plpgsql as $$
begin
  raise exception 'carillon: the flush is out of date' using errcode = 'CA001';
end $$;
