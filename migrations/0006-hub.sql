-- The hub: one row per mobile app with the credentials of its push services, one per device, one per send.

-- `sealed`: the credentials as JSON, encrypted with AES-256-GCM; the hub's name is authenticated with them. `version`
-- rises with every change, so that running nodes notice a rotation.
create table hub (
  name text primary key check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$'),
  sealed bytea not null,
  version int not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

-- Installations and registrations are one thing to us. `definition` is the device in the words of an installation, read
-- whole and never looked into; the other columns are what is searched. `tags` are canonical and hold those of the
-- templates as well: a superset that an index can look up, judged exactly afterwards. `handle_since`: since when we know
-- this address; a push service's word that it died earlier is about a former life. `gone_at`: a dead address, for
-- installations, whose record stays until the app comes back with a new one.
create table device (
  hub text not null references hub (name) on delete cascade,
  id text collate "C" not null check (length(id) between 1 and 512),
  kind text not null check (kind in ('installation', 'registration')),
  platform text not null,
  handle text not null,
  handle_since timestamptz not null,
  gone_at timestamptz,
  user_id text,
  tags text[] not null,
  definition text not null,
  etag int not null check (etag > 0),
  expires_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (hub, id)
);
create index device_tags on device using gin (tags);
create index device_user on device (user_id) where user_id is not null;
-- Addresses may be longer than a btree entry; they are only ever compared whole.
create index device_handle on device using hash (handle);
create index device_expiry on device (expires_at) where expires_at is not null;

-- A send: what a client asked the hub to push, now or later. `job` is the order as JSON. Whoever claims it holds it until
-- `leased_until`; `attempt` fences what a late one writes. `reached` is the id of the last device that is done: where a
-- node that takes over goes on, so that at most one page is pushed twice. `outcomes` counts them: {"apns":{"Success":3}}.
create table hub_send (
  hub text not null references hub (name) on delete cascade,
  id text not null,
  request_id text,
  state text not null check (state in ('Scheduled', 'Enqueued', 'Processing', 'Completed', 'NoTargetFound', 'Canceled', 'Abandoned')),
  job text not null,
  due_at timestamptz not null,
  leased_until timestamptz,
  attempt int not null default 0,
  reached text not null default '',
  outcomes text not null default '{}',
  enqueued_at timestamptz not null,
  started_at timestamptz,
  ended_at timestamptz,
  primary key (hub, id)
);
create index hub_send_due on hub_send (due_at) where ended_at is null;
create unique index hub_send_request on hub_send (hub, request_id) where request_id is not null;
