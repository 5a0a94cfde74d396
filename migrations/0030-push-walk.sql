-- A broadcast walks through devices in the order of `number`, in which they were first registered: neighbours in that order
-- lie side by side, while ids lead all over the table (half of PostgreSQL's share of a broadcast). The room that pages keep
-- free is for registrations that change no index, so that devices stay where they are.
--
-- `push` is what a push needs of a device, as the list [id, platform, address, key of its templates, variables], a third of
-- the definition. Of templates there is only a key, for the devices of one app have the same ones; who does not know them yet
-- reads them from the definition of one device. Null: the device has tiles, or templates with tags of their own, and its
-- definition says all of it; or a text in it has a null character or half of a pair, which JSON may hold and PostgreSQL not.
create function device_push(definition text) returns text language sql immutable strict parallel safe as $$
  select '[' || to_json("installationId") || ',' || to_json(platform) || ',' || "pushChannel" || ',"'
    || left(encode(sha256(convert_to(templates, 'UTF8')), 'base64'), 22) || '",' || "pushVariables" || ']'
  from json_to_record((case when definition ~ '\\u(0000|d[89a-f])' then '{}' else definition end)::json)
    as given ("installationId" text, platform text, "pushChannel" json, templates text, "pushVariables" json, "secondaryTiles" text)
  where "secondaryTiles" = '{}' and templates !~ '"tags" ?: ?\[ ?"'
$$;

-- Numbers in the order of hubs and ids: legs that are under way go on behind the id that they have reached.
alter table device set (fillfactor = 85);
drop index device_walk;
cluster device using device_pkey;
alter table device add column number bigint generated always as identity,
  add column push text generated always as (device_push(definition)) stored;

update hub_send_leg as leg set reached = coalesce(
    (select max(number) from device where device.hub = leg.hub and device.id <= leg.reached collate "C"), 0)::text
  from hub_send where hub_send.hub = leg.hub and hub_send.id = leg.send and leg.ended_at is null and reached <> ''
    and regexp_replace(job, '\\u(0000|d[89a-f]..)', '\\u0020', 'g')::json -> 'to' is null;

create index device_walk on device (hub, platform, number);
analyze device;
