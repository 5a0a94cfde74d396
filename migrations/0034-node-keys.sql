-- What each node says of the keys that all nodes share: 16 bits of a slow hash of each, by the name of its setting. Enough to
-- tell that two nodes have different ones, too little to confirm a guess. Null in what an older version has written.
alter table node add column if not exists keys jsonb;
