-- So that one changed rule among a hundred thousand is read alone: the topic's version at which a rule was made, and at
-- which a subscription last lost one (then all of its rules are read again).
alter table rule add column revision bigint not null default 0;
alter table subscription add column rules_removed bigint not null default 0;
create index rule_revision on rule (subscription, revision);
