-- What each version of a topic changed, so that a node that knows the version before reads only that: the subscription
-- (null: the topic's own settings), and the names of the rules that it lost. New rules are found by their revision. The
-- last thousand versions are kept; whoever is further behind reads the topic as a whole.
create table topic_change (
  topic int not null references topic on delete cascade,
  version bigint not null,
  subscription int,
  removed text[] not null default '{}',
  primary key (topic, version)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
alter table subscription drop column if exists rules_removed;

-- A run of a node: from its start to its end, or to its death. Claims under a lease name it, so that the next run of the
-- same node, which knows that the one before is dead, takes back what that one held, at once. The row goes when the run
-- ends in peace, or when what it left is taken back.
create table run (
  number int generated always as identity primary key,
  node text not null,
  started_at timestamptz not null default now()
);

-- Null in what an older version has claimed. Without a default there is nothing to rewrite, however long the outbox is; no
-- index holds it, so that a claim stays a HOT update.
alter table delivery add column if not exists claimed_by int;
alter table question_work add column if not exists claimed_by int;
alter table posted_card add column if not exists edit_claimed_by int;
