-- What Service Bus clients set on a topic, queue (subscription 0) or subscription and the broker has no use for: it is
-- given back to them as it was. `rules` are the entity's own authorization rules, encrypted, because their keys must be
-- known in clear to check a signature. Ids are never used twice, so a row whose entity is gone is only dead weight;
-- the door removes it when it deletes the entity.
create table servicebus_entity (
  topic int not null,
  subscription int not null,
  fields jsonb not null,
  rules bytea,
  primary key (topic, subscription)
);
