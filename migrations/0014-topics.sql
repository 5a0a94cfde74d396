-- How far the clock of any node had come (src/topics/wall-clock.ts): after it was set back, ids seen before stay known.
create table clock_mark (
  only_row boolean primary key default true check (only_row),
  highest timestamptz not null
) with (fillfactor = 50, autovacuum_vacuum_threshold = 20);
insert into clock_mark (highest) values ('epoch');
