-- Conversations of people with an agent, and what was said in them.

-- The head of a conversation. Whoever appends locks this row first, so that sequence numbers have no gaps and follow the
-- order of commits, and so that times only grow. `standing`: the one in which a person's notices appear, whatever page or
-- phone opened it. `opened_at`: when a client first connected. `greeted_at`: when the agent was told who takes part.
-- Updated in place by each batch (never an indexed column), so the pages keep room for the next version.
create table conversation (
  id            text collate "C" primary key,
  recipient_id  text collate "C" not null,
  agent         text not null,
  channel       text not null default 'directline' check (channel in ('directline')),
  standing      boolean not null,
  locale        text,
  last_sequence bigint not null default 0 check (last_sequence >= 0),
  last_at       timestamptz not null,
  opened_at     timestamptz,
  greeted_at    timestamptz,
  created_at    timestamptz not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
create unique index conversation_standing on conversation (recipient_id, agent) where standing;
create index conversation_recipient on conversation (recipient_id);

-- What was said, as clients get it: `content` is the whole activity as JSON, which nothing here looks into. An activity
-- that is replaced keeps its id and `created_at` and moves to the next sequence number, so that whoever reads on from a
-- number sees the change, and whoever reads all sees the latest only. `author`: only its own does an agent change.
create table activity (
  conversation_id text collate "C" not null,
  sequence        bigint not null check (sequence > 0),
  id              text collate "C" not null,
  author          text not null check (author in ('user', 'agent', 'carillon')),
  content         text not null,
  created_at      timestamptz not null,
  primary key (conversation_id, sequence),
  unique (conversation_id, id)
);
-- For retention: old rows lie together.
create index activity_age on activity using brin (created_at);

-- Files that people or agents sent. The id is random and long: whoever has the link may read.
create table upload (
  id              text collate "C" primary key,
  conversation_id text collate "C" not null,
  name            text not null,
  type            text not null,
  size            int not null check (size >= 0),
  content         bytea not null,
  created_at      timestamptz not null
);
alter table upload alter column content set storage external;
create index upload_conversation on upload (conversation_id);

-- The keys with which we sign what agents get, newest first in use; older ones stay for a while to be checked against.
-- `sealed` is the private key, encrypted with AES-256-GCM under the server's own secret.
create table agent_key (
  kid        text primary key,
  public_key jsonb not null,
  sealed     bytea not null,
  created_at timestamptz not null
);
