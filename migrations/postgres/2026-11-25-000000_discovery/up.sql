-- Search and "near me". See feed_core::text and feed_core::geo for what is stored here, feed_core::feed for who reads it.

-- Both come with PostgreSQL (its contrib modules), and may be created by whoever owns the database.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;
-- Where they were there, it may be in a schema that the search path lacks: until the end of this migration it has it.
SELECT set_config('search_path', concat_ws(', ', current_setting('search_path'), string_agg(quote_ident(nspname), ', ')), TRUE)
FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'pg_trgm';

-- What a search compares with: title, description and address of a flyer, folded by Rust, since lower() depends on the
-- database's locale. A table of its own: what changes a flyer's validity leaves the text and its index alone.
CREATE TABLE flyer_texts (
    flyer_id BIGINT NOT NULL PRIMARY KEY REFERENCES flyers (id) ON DELETE CASCADE,
    -- The flyer's created_at, which never changes.
    created_at TIMESTAMP NOT NULL,
    text TEXT NOT NULL
);
-- And the names of those who publish.
CREATE TABLE user_texts (
    user_id BIGINT NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    text TEXT NOT NULL
);

-- Search: trigrams, and slices of about six days, so that the newest flyers are found without all the others.
CREATE INDEX flyer_texts_trigrams ON flyer_texts
    USING gin (text gin_trgm_ops, (CAST(extract(epoch FROM created_at) AS bigint) / 524288));
CREATE INDEX user_texts_trigrams ON user_texts USING gin (text gin_trgm_ops);

-- Near me: the newest flyers of one cell, which is 1/64 degree a side, or 1/16, or 1/4.
CREATE INDEX flyers_small_cell_feed ON flyers (
    (CAST(floor((latitude + 90) * 64) AS bigint) * 32768 + CAST(floor((longitude + 180) * 64) AS bigint)),
    created_at DESC, id DESC
) INCLUDE (latitude, longitude, creator_id, valid_until, valid_from, categories) WHERE expired = FALSE;
CREATE INDEX flyers_medium_cell_feed ON flyers (
    (CAST(floor((latitude + 90) * 16) AS bigint) * 32768 + CAST(floor((longitude + 180) * 16) AS bigint)),
    created_at DESC, id DESC
) INCLUDE (latitude, longitude, creator_id, valid_until, valid_from, categories) WHERE expired = FALSE;
CREATE INDEX flyers_large_cell_feed ON flyers (
    (CAST(floor((latitude + 90) * 4) AS bigint) * 32768 + CAST(floor((longitude + 180) * 4) AS bigint)),
    created_at DESC, id DESC
) INCLUDE (latitude, longitude, creator_id, valid_until, valid_from, categories) WHERE expired = FALSE;

-- As before, and with the place: "near me" filters by it.
DROP INDEX flyers_feed;
DROP INDEX flyers_creator_feed;
CREATE INDEX flyers_feed ON flyers (created_at DESC, id DESC)
    INCLUDE (creator_id, valid_until, valid_from, categories, latitude, longitude) WHERE expired = FALSE;
CREATE INDEX flyers_creator_feed ON flyers (creator_id, created_at DESC, id DESC)
    INCLUDE (valid_until, valid_from, categories, latitude, longitude) WHERE expired = FALSE;
