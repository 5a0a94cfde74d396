-- Questions, and the decisions on them. A notification whose card has actions asks its recipients a question; the first
-- answer of one of them decides it for all.

-- One question: what one notification of one event asks. `state` is a one-way street:
--   open --answer--> decided      open --expires_at--> expired      open --a newer one, or its backend--> withdrawn
-- Whoever moves it does so by `update ... where state = 'open'`, so it is moved once.
create table question (
  id             text collate "C" primary key,
  topic          text not null,
  partition      int not null,
  sequence       bigint not null,
  event_id       text not null,
  notification   text not null,
  -- What the sender of the event asked with it; the answer goes back with these.
  request_id     text,
  correlation_id text,
  reply_to       text,
  reply_session  text,
  -- Who must not decide it, because they asked for it.
  requester      text,
  -- A newer question of the same topic and key withdraws this one.
  key            text,
  created_at     timestamptz not null,
  expires_at     timestamptz,
  state          text not null default 'open' check (state in ('open', 'decided', 'expired', 'withdrawn')),
  settled_at     timestamptz,
  decided_by     text,
  notice_id      text,
  action_id      text,
  label          text,
  reason         text,
  inputs         text, -- JSON
  surface        text,
  attempt_key    text, -- the idempotency key of the answer that decided
  check ((state = 'open') = (settled_at is null)),
  check ((state = 'decided') = (decided_by is not null and action_id is not null))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

create index question_open on question (created_at, id) where state = 'open';
create index question_expiry on question (expires_at) where state = 'open' and expires_at is not null;
create index question_key on question (topic, key) where state = 'open' and key is not null;
create index question_settled on question (settled_at, id) where state <> 'open';

-- Who may answer, and the notice that asks them.
create table asked (
  notice_id    text collate "C" primary key,
  question_id  text collate "C" not null,
  recipient_id text collate "C" not null,
  unique (question_id, recipient_id)
);

create index asked_recipient on asked (recipient_id);

-- What follows from a settled question, written with it: `reply` publishes the answer for the backend, `tell` lets every
-- surface that shows the card know. A row is due until it is done; `tried_at` says that somebody had begun.
create table question_work (
  question_id text collate "C" not null,
  kind        text not null check (kind in ('reply', 'tell')),
  due_at      timestamptz not null,
  attempts    int not null default 0,
  tried_at    timestamptz,
  done_at     timestamptz,
  -- Given up: the cause, until somebody redrives it.
  cause       text,
  -- tell: the last recipient who was told.
  after_id    text collate "C" not null default '',
  primary key (question_id, kind)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

create index question_work_due on question_work (due_at) where done_at is null and cause is null;

-- Every answer that somebody gave, counted or not: append only.
create table answer (
  id          bigint generated always as identity primary key,
  at          timestamptz not null,
  question_id text collate "C" not null,
  notice_id   text not null,
  actor_id    text not null,
  action_id   text not null,
  surface     text not null,
  via         text,
  outcome     text not null,
  reason      text
);

create index answer_question on answer (question_id, id);
create index answer_at on answer using brin (at);

-- A walk that asks a question must know whom to answer, as the message said it.
alter table audience_walk add column if not exists request json;
