-- Deliveries and the decision trace.
--
-- `delivery` is the outbox: only what is still to be done, and the dead letters. `attempt` and `trace` are histories:
-- append only, one partition per day, so that retention drops tables and never deletes rows.
--
-- What keeps the outbox from bloating:
--   * A claim changes only columns that no index holds (attempt, failures, leased_until), so it is a HOT update: no new
--     index entries, and the old row version is pruned by the next visitor of its page. fillfactor 45 leaves each page
--     room for one more (and, with its lease, longer) version of every row on it: what a claim of a whole batch needs.
--   * A finished delivery is deleted; its history is its appended attempt. The table stays as small as the backlog.
--   * Vacuum comes by a fixed number of dead rows, not by a share of the table: a queue's size says nothing about its churn.
-- `sending` is not a stored state: it is a pending row whose lease has not lapsed.
create table delivery (
  id            text        not null primary key,
  notice_id     text        not null,
  recipient_id  text        not null,
  channel       text        not null check (channel in ('inbox', 'mobile', 'conversation', 'email')),
  endpoint      text,
  urgency       smallint    not null check (urgency between 0 and 2),
  state         text        not null default 'pending' check (state in ('pending', 'dead')),
  planned_for   timestamptz not null, -- the first due time: its age counts from here
  due_at        timestamptz not null,
  attempt       integer     not null default 0, -- number of claims so far: the fence
  failures      integer     not null default 0, -- attempts that count against the limit
  leased_until  timestamptz,
  reason        text check (reason in ('refused', 'exhausted', 'expired')),
  cause         text,
  detail        text,
  died_at       timestamptz,
  check ((state = 'dead') = (died_at is not null)),
  check ((state = 'dead') = (reason is not null))
) with (
  fillfactor = 45,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
  autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000,
  autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000,
  autovacuum_vacuum_cost_delay = 0
);

-- The claim reads this in order, once per urgency; see `claim.ts`.
create index delivery_due on delivery (channel, urgency, due_at) where state = 'pending';
-- Dead letters, newest first, and by channel and cause.
create index delivery_dead on delivery (died_at, id) where state = 'dead';
create index delivery_dead_cause on delivery (channel, cause) where state = 'dead';

create table attempt (
  at            timestamptz not null,
  delivery_id   text        not null,
  notice_id     text        not null,
  recipient_id  text        not null,
  channel       text        not null,
  attempt       integer     not null,
  outcome       text        not null check (outcome in ('delivered', 'retry', 'dropped', 'dead')),
  cause         text,
  detail        text,
  provider_id   text,
  took_ms       integer
) partition by range (at);
create table attempt_default partition of attempt default;
-- One b-tree serves the trace of a recipient, and of an event through the recipients that its trace names.
create index attempt_recipient on attempt (recipient_id, at);
create index attempt_at on attempt using brin (at) with (pages_per_range = 16);

create sequence trace_id cache 64;
create table trace (
  id            bigint      not null default nextval('trace_id'),
  at            timestamptz not null,
  topic         text        not null,
  partition     integer     not null,
  sequence      bigint      not null,
  event_id      text        not null,
  notification  text,
  recipient_id  text,
  notice_id     text,
  channel       text,
  step          text        not null,
  outcome       text        not null,
  detail        text
) partition by range (at);
create table trace_default partition of trace default;
create index trace_sequence on trace (topic, sequence, partition);
-- Only rows about the event as a whole: an index of every row by a random id would cost more than all the others.
create index trace_event on trace (event_id) where recipient_id is null;
create index trace_recipient on trace (recipient_id, at) where recipient_id is not null;

-- Addresses that their provider called dead. Writing to them again and again costs the sender its good name.
create table gone_endpoint (
  channel       text        not null,
  endpoint      text        not null,
  cause         text        not null,
  last_at       timestamptz not null,
  primary key (channel, endpoint)
);
