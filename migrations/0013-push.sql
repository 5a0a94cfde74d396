-- A send is carried out in legs, one per platform: each push service has its own pace, and one that is down must not hold
-- up the others. Platform '*' is the first page of a send to all platforms: if that is all, no legs per platform are made.
-- Whoever claims a leg holds it until `leased_until`; `attempt` fences what a late one writes. `reached` is the id of the
-- last device whose chunk is settled (for a send to addresses: how many are), `walked` says that there are no more;
-- `outcomes` counts what is final: {"apns":{"Success":3}}. Written once per chunk, no indexed column among what changes then.
create table hub_send_leg (
  hub text not null,
  send text not null,
  platform text not null check (platform in ('*', 'apns', 'fcmv1', 'wns', 'browser')),
  due_at timestamptz not null,
  leased_until timestamptz,
  attempt int not null default 0,
  reached text not null default '',
  walked boolean not null default false,
  chunks int not null default 0,
  outcomes text not null default '{}',
  abandoned boolean not null default false,
  ended_at timestamptz,
  primary key (hub, send, platform),
  foreign key (hub, send) references hub_send (hub, id) on delete cascade
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 200);
create index hub_send_leg_due on hub_send_leg (due_at) where ended_at is null;

-- What became of a chunk's pushes, settled in one row: a byte of outcome each (outcomeCode in src/hub/fan-out.ts) and the
-- CRC-32 of the id of each device, 4 bytes: whom a send reached can be told without a row per device.
create table hub_send_chunk (
  hub text not null,
  send text not null,
  platform text not null,
  chunk int not null,
  after_id text not null,
  last_id text not null,
  outcomes bytea not null,
  devices bytea not null,
  settled_at timestamptz not null,
  primary key (hub, send, platform, chunk),
  foreign key (hub, send) references hub_send (hub, id) on delete cascade
);

-- The pushes that matter one by one: dead devices, some of the refused, and those to be tried again at `due_at` (null: that
-- is final). `part` names one of several pushes to a device (a template, a tile), or the place in a list of addresses.
create table hub_send_failure (
  hub text not null,
  send text not null,
  leg text not null,
  chunk int not null,
  place int not null,
  platform text not null,
  device_id text,
  part text not null,
  outcome text not null,
  cause text not null,
  tries int not null default 1,
  due_at timestamptz,
  at timestamptz not null,
  primary key (hub, send, leg, chunk, place),
  foreign key (hub, send) references hub_send (hub, id) on delete cascade
) with (fillfactor = 80);
create index hub_send_failure_due on hub_send_failure (hub, send, leg, due_at) where due_at is not null;

insert into hub_send_leg (hub, send, platform, due_at, leased_until, attempt, reached, outcomes)
  select hub, id, coalesce(job::json -> 'message' ->> 'platform', leg), due_at, leased_until, attempt,
    case when reached = 'all' then '1000000' else reached end, case when leg in ('*', 'apns') then outcomes else '{}' end
  from hub_send
  cross join lateral (
    select unnest(case when job::json -> 'message' ->> 'platform' is null and reached <> ''
      then array['apns', 'fcmv1', 'wns', 'browser'] else array['*'] end) as leg) as legs
  where ended_at is null;

-- Sends that are over keep what they came to.
insert into hub_send_leg (hub, send, platform, due_at, attempt, reached, walked, outcomes, ended_at)
  select hub, id, coalesce(job::json -> 'message' ->> 'platform', '*'), due_at, attempt, reached, true, outcomes, ended_at
  from hub_send where ended_at is not null;

drop index hub_send_due;
create index hub_send_open on hub_send (started_at) where ended_at is null;
alter table hub_send drop column leased_until, drop column attempt, drop column reached, drop column outcomes;


-- The order in which a leg walks through the devices of its platform.
create index device_walk on device (hub, platform, id);
