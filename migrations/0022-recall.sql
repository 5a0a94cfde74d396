-- Notices that were recalled, or corrected. `changed_at`: what was shown before may stand somewhere still; `recalled_at`: it
-- is shown nowhere any more. The card stays as it was, for whoever asks later what was said.
alter table notice add column if not exists changed_at timestamptz;
alter table notice add column if not exists recalled_at timestamptz;
alter table notice add column if not exists recall_reason text;

-- Kept with the item as well: it counts as neither unseen nor unread.
alter table inbox_item add column if not exists recalled_at timestamptz;
