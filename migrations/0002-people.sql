-- People: who can be reached, and what each of them wants.

create table recipient (
  id           text collate "C" primary key check (id ~ '^[A-Za-z0-9._:@-]{1,128}$'),
  display_name text,
  email        text,
  locale       text,
  time_zone    text,
  -- What audience rules ask for: names to text, numbers, yes/no or lists of text.
  attributes   jsonb not null default '{}' check (jsonb_typeof(attributes) = 'object'),
  -- Where a person can be reached besides email: kind of address to address.
  addresses    jsonb not null default '{}' check (jsonb_typeof(addresses) = 'object'),
  created_at   timestamptz not null,
  updated_at   timestamptz not null
);

-- One record per recipient, made when the person is first seen. `settings` holds only what differs from the defaults:
-- a default that the organisation changes later reaches everybody who did not choose otherwise.
create table preference (
  recipient_id text collate "C" primary key,
  settings     jsonb not null default '{}' check (jsonb_typeof(settings) = 'object'),
  created_at   timestamptz not null,
  updated_at   timestamptz not null
);
