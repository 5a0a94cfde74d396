-- A card may stand in one conversation more than once: as it was posted, and where the person had it shown again. Each is
-- edited.
alter table posted_card drop constraint posted_card_pkey;
alter table posted_card add primary key (recipient_id, notice_id, channel, connection, place, delivery_id);
