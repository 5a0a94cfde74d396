-- People are found by any part of their id, name or mail address. With trigrams that is an index; the extension is one that
-- whoever may create in the database may add (PostgreSQL trusts it). Where they may not, or it is not installed, the same
-- search reads all people: slower, never wrong. The expression is that of the search in src/people/recipients.ts.
do $$
begin
  create extension if not exists pg_trgm;
  create index if not exists recipient_words on recipient using gin
    ((lower((id || ' ' || coalesce(display_name, '') || ' ' || coalesce(email, '')) collate "default")) gin_trgm_ops);
exception
  when insufficient_privilege or undefined_file or feature_not_supported or undefined_object then
    raise notice 'people are searched without an index: %', sqlerrm;
end
$$;
