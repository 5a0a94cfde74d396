-- Who may do what: keys of programs, sign-in links and cookie sessions of people. Secrets are random and stored as
-- their SHA-256 only; 256 bits of randomness need no slow hash.

create table access_key (
  id text primary key,
  name text not null check (length(name) between 1 and 200),
  -- Two secrets are valid at once, so that a key can be rotated without a moment in which its clients fail.
  primary_hash bytea not null unique check (length(primary_hash) = 32),
  secondary_hash bytea unique check (length(secondary_hash) = 32),
  -- [{"right": "send" | "listen" | "manage", "entity": "topic:hr" | "recipient:*" | "*"}]
  grants jsonb not null check (jsonb_typeof(grants) = 'array'),
  -- Comes from the settings and is written anew at every start; the API does not change it.
  preset boolean not null default false,
  created_at timestamptz not null,
  rotated_at timestamptz,
  expires_at timestamptz
);

-- One number that moves with every change of a key. A node compares it once a second while requests come in, and
-- reads the keys again only when it moved.
create table access_version (
  only_row boolean primary key default true check (only_row),
  version bigint not null
);
insert into access_version (version) values (1);

create function access_key_changed() returns trigger language plpgsql as $$
begin
  update access_version set version = version + 1;
  return null;
end $$;

create trigger access_key_changed after insert or update or delete or truncate on access_key
  for each statement execute function access_key_changed();

create table sign_in_link (
  token_hash bytea primary key check (length(token_hash) = 32),
  role text not null check (role in ('admin', 'recipient')),
  recipient_id text check ((role = 'recipient') = (recipient_id is not null)),
  created_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz
);
create index sign_in_link_expires on sign_in_link (expires_at);

create table web_session (
  token_hash bytea primary key check (length(token_hash) = 32),
  role text not null check (role in ('admin', 'recipient')),
  recipient_id text check ((role = 'recipient') = (recipient_id is not null)),
  created_at timestamptz not null,
  expires_at timestamptz not null
);
create index web_session_expires on web_session (expires_at);
