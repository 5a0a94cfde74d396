-- Notices and the inbox. Every table leads with the recipient, so that a person's rows lie together and can be spread.

-- One notification for one recipient, whatever the channel. Written once, never updated.
create table notice (
  recipient_id text collate "C" not null,
  id           text collate "C" not null,
  topic        text not null,
  partition    int not null,
  sequence     bigint not null,
  event_id     text not null,
  notification text not null,
  category     text not null,
  urgency      text not null check (urgency in ('low', 'normal', 'high')),
  card         text not null, -- JSON; as text, because nothing here looks into it and checking it again costs 1 us a row
  created_at   timestamptz not null,
  primary key (recipient_id, id)
);

-- The head of a person's inbox: the last position given out, the counts of what is neither seen nor read (archived items
-- do not count), and how often states were marked. Every change of an inbox locks this row first, so positions are
-- gap-free in commit order and the counts cannot drift. Both numbers only grow: of two reports the later one is known.
-- Updated in place by each batch (never an indexed column), so the pages keep room for the next version.
create table inbox (
  recipient_id  text collate "C" primary key,
  last_position bigint not null default 0,
  unseen        int not null default 0 check (unseen >= 0),
  unread        int not null default 0 check (unread >= 0),
  marks         bigint not null default 0
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

create table inbox_item (
  recipient_id text collate "C" not null,
  position     bigint not null check (position > 0),
  notice_id    text collate "C" not null,
  created_at   timestamptz not null,
  seen_at      timestamptz,
  read_at      timestamptz,
  archived_at  timestamptz,
  primary key (recipient_id, position),
  unique (recipient_id, notice_id),
  check (read_at is null or seen_at is not null)
) with (fillfactor = 90);

-- Notifications for a rule or for everyone: the handler writes one row, whatever the number of people, and a walker goes
-- through the people in order of id, some hundred per transaction. `after_id` is how far it has come; a row that is gone
-- is done. `due_at` is the turn of the walk: several take turns, and one that failed waits.
create table audience_walk (
  id           text collate "C" primary key,
  topic        text not null,
  partition    int not null,
  sequence     bigint not null,
  notification text not null,
  event        json not null,
  condition    text,
  after_id     text collate "C" not null default '',
  people       int not null default 0,
  notices      int not null default 0,
  failures     int not null default 0,
  created_at   timestamptz not null,
  due_at       timestamptz not null
) with (fillfactor = 50);
