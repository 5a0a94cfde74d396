-- Which reader of a partition of an event hub has claimed it for its consumer group, by its owner level, and at which node
-- it reads. A row counts while its node is alive, and goes with the reader. Readers without a level have none.
create table event_reader (
  topic int not null references topic on delete cascade,
  part smallint not null,
  consumer_group text not null,
  epoch bigint not null,
  node text not null,
  primary key (topic, part, consumer_group)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The run that works on an import or export, so that the next run of its node goes on at once (see 0031-runs.sql).
alter table hub_job add column if not exists claimed_by int;
