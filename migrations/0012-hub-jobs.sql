-- What the administration of hubs needs beside devices and sends: rules, jobs with their files, feedback.

-- What the person calls it: "Work phone". Clients of the REST door do not know it and leave it alone.
alter table device add column label text check (length(label) between 1 and 200);

-- `rules`: keys of this hub's own beside those of all hubs, as JSON, sealed like the credentials. `settings`: what clients of
-- the hub's administration may set, as JSON: how long registrations live, their own words about the hub.
alter table hub add column rules bytea;
alter table hub add column settings text not null default '{}';

create index hub_send_ended on hub_send (ended_at) where ended_at is not null;

-- An import or an export of devices. `form` is that of a line: an Atom entry of a registration, or a device as the API
-- shows it. `reached`: how far it came, in the transaction that did it; an export the id of the last device, an import
-- the number of the last part of its file. `attempt` fences what a late worker writes.
create table hub_job (
  hub text not null references hub (name) on delete cascade,
  id text not null,
  type text not null check (type in ('ExportRegistrations', 'ImportCreateRegistrations', 'ImportUpdateRegistrations',
    'ImportDeleteRegistrations', 'ImportUpsertRegistrations')),
  form text not null check (form in ('registration', 'device')),
  state text not null default 'Started' check (state in ('Started', 'Running', 'Completed', 'Failed')),
  output_uri text not null default '',
  input_uri text,
  input_path text,
  reached text not null default '',
  lines bigint not null default 0,
  failed bigint not null default 0,
  total bigint not null default 0,
  failure text,
  leased_until timestamptz,
  attempt int not null default 0,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (hub, id)
);
create index hub_job_open on hub_job (created_at) where state in ('Started', 'Running');

-- Files of jobs, in parts that end at the end of a line, so that nobody holds a whole one. `first_line` counts from 1. A
-- file is whole once its last part says so.
create table hub_file (
  hub text not null references hub (name) on delete cascade,
  path text not null,
  part int not null check (part > 0),
  first_line bigint not null,
  lines int not null,
  content bytea not null,
  last boolean not null default false,
  created_at timestamptz not null,
  primary key (hub, path, part)
);
create index hub_file_age on hub_file (created_at);

-- Devices that their push services called dead, for whoever keeps addresses of their own.
create table hub_feedback (
  number bigint generated always as identity primary key,
  hub text not null references hub (name) on delete cascade,
  at timestamptz not null,
  platform text not null,
  handle text not null,
  device_id text not null,
  kind text not null,
  cause text not null
);
create index hub_feedback_hub on hub_feedback (hub, number);
create index hub_feedback_age on hub_feedback (at);

alter table device set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
alter table hub_send set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 200);
