-- Where the assistant can speak to people, and what it has posted there.

-- One row per place of a person. `place` is what is unique of the address (the conversation's id); `address` is all that a
-- message there needs. `person` is who the person is to that service, as its verified token says. `last_seen_at` is null
-- where the person has not spoken yet: the place was opened by us. `throttled_until`: the service asked to wait.
create table conversation_reference (
  recipient_id    text collate "C" not null,
  channel         text not null check (channel in ('directline', 'teams', 'slack', 'webhook')),
  connection      text collate "C" not null,
  place           text collate "C" not null,
  person          text collate "C",
  address         jsonb not null,
  state           text not null default 'ok' check (state in ('ok', 'blocked', 'gone')),
  last_seen_at    timestamptz,
  last_error      text,
  last_error_at   timestamptz,
  throttled_until timestamptz,
  created_at      timestamptz not null,
  updated_at      timestamptz not null,
  primary key (recipient_id, channel, connection, place)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
-- Who speaks there: asked on every turn that comes in.
create index conversation_reference_person on conversation_reference (channel, connection, person) where person is not null;
create index conversation_reference_place on conversation_reference (channel, connection, place);

-- People are found by what a service knows of them.
create index recipient_email on recipient (lower(email)) where email is not null;
create index recipient_teams on recipient ((addresses ->> 'teams')) where addresses ? 'teams';
create index recipient_slack on recipient ((addresses ->> 'slack')) where addresses ? 'slack';

-- A notice as it stands in a conversation. `activity_id` is null where the service told none: that one cannot be edited.
-- `edit_due_at` is set in the transaction that changes what the card has to show (a decision, a recall), so that no crash
-- leaves an old card behind; the editor clears it.
create table posted_card (
  recipient_id text collate "C" not null,
  notice_id    text collate "C" not null,
  channel      text not null,
  connection   text collate "C" not null,
  place        text collate "C" not null,
  delivery_id  text collate "C" not null,
  activity_id  text,
  posted_at    timestamptz not null,
  edited_at    timestamptz,
  edit_due_at  timestamptz,
  edit_failures int not null default 0,
  edit_cause   text,
  primary key (recipient_id, notice_id, channel, connection, place)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
create index posted_card_edit on posted_card (edit_due_at) where edit_due_at is not null;
create index posted_card_delivery on posted_card (delivery_id);
create index posted_card_activity on posted_card (channel, connection, activity_id) where activity_id is not null;
create index posted_card_age on posted_card using brin (posted_at);
