-- Plans that are the same in any state of the tables. See "Plans that hold" in docs/ARCHITECTURE.md.

-- Names the index that a query reads. It is always true.
--
-- An index whose condition calls it serves only queries that call it with the same name. Its cost keeps the planner
-- from every other way to read the table: whoever scans the table or builds a bitmap is charged for a call a row,
-- whoever scans the index is not, because the index's condition has said it already. And no statement that calls an
-- unsafe function is done by several processes, which would cost more than a page. PL/pgSQL, because a function in SQL
-- would be inlined.
CREATE FUNCTION by_index(index_name text, id bigint) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL UNSAFE COST 1000000000
AS $$
BEGIN
    RETURN TRUE;
END $$;

-- Returns what an index is searched for: one value, or each of an array. Whoever scans the index is charged for one
-- call, whoever compares row by row for a call a row.
CREATE FUNCTION seek(key bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE COST 10000
AS $$
BEGIN
    RETURN key;
END $$;
CREATE FUNCTION seek(keys bigint[]) RETURNS bigint[]
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE COST 10000
AS $$
BEGIN
    RETURN keys;
END $$;

-- Each index has the columns that it had, and serves the queries that it served.
DROP INDEX flyers_feed;
CREATE INDEX flyers_feed ON flyers (created_at DESC, id DESC)
    INCLUDE (creator_id, valid_until, valid_from, categories, latitude, longitude)
    WHERE expired = FALSE AND by_index('flyers_feed', id);
DROP INDEX flyers_creator_feed;
CREATE INDEX flyers_creator_feed ON flyers (creator_id, created_at DESC, id DESC)
    INCLUDE (valid_until, valid_from, categories, latitude, longitude)
    WHERE expired = FALSE AND by_index('flyers_creator_feed', id);
DROP INDEX flyers_small_cell_feed;
CREATE INDEX flyers_small_cell_feed ON flyers (
    (CAST(floor((latitude + 90) * 64) AS bigint) * 32768 + CAST(floor((longitude + 180) * 64) AS bigint)),
    created_at DESC, id DESC
) INCLUDE (latitude, longitude, creator_id, valid_until, valid_from, categories)
    WHERE expired = FALSE AND by_index('flyers_small_cell_feed', id);
DROP INDEX flyers_medium_cell_feed;
CREATE INDEX flyers_medium_cell_feed ON flyers (
    (CAST(floor((latitude + 90) * 16) AS bigint) * 32768 + CAST(floor((longitude + 180) * 16) AS bigint)),
    created_at DESC, id DESC
) INCLUDE (latitude, longitude, creator_id, valid_until, valid_from, categories)
    WHERE expired = FALSE AND by_index('flyers_medium_cell_feed', id);
DROP INDEX flyers_large_cell_feed;
CREATE INDEX flyers_large_cell_feed ON flyers (
    (CAST(floor((latitude + 90) * 4) AS bigint) * 32768 + CAST(floor((longitude + 180) * 4) AS bigint)),
    created_at DESC, id DESC
) INCLUDE (latitude, longitude, creator_id, valid_until, valid_from, categories)
    WHERE expired = FALSE AND by_index('flyers_large_cell_feed', id);
DROP INDEX flyers_to_mark;
CREATE INDEX flyers_to_mark ON flyers (valid_until) WHERE expired = FALSE AND by_index('flyers_to_mark', id);
DROP INDEX flyers_to_clear;
CREATE INDEX flyers_to_clear ON flyers (valid_until) WHERE expired = TRUE AND by_index('flyers_to_clear', id);
-- Without marked flyers, so that a mark writes no entry: it moves the version, which tells all that this index would.
DROP INDEX flyers_valid_from;
CREATE INDEX flyers_valid_from ON flyers (valid_from) WHERE expired = FALSE AND by_index('flyers_valid_from', id);

DROP INDEX favorites_feed;
CREATE INDEX favorites_feed ON favorites (user_id, flyer_created_at DESC, flyer_id DESC)
    INCLUDE (flyer_valid_until, flyer_valid_from, flyer_categories)
    WHERE flyer_expired = FALSE AND by_index('favorites_feed', user_id);
DROP INDEX favorites_recent_feed;
CREATE INDEX favorites_recent_feed ON favorites (user_id, created_at DESC, flyer_id DESC)
    INCLUDE (flyer_valid_until, flyer_valid_from, flyer_categories)
    WHERE flyer_expired = FALSE AND by_index('favorites_recent_feed', user_id);
DROP INDEX favorites_user_recent;
CREATE INDEX favorites_user_recent ON favorites (user_id, created_at DESC, flyer_id DESC)
    WHERE by_index('favorites_user_recent', user_id);
DROP INDEX follows_follower_recent;
CREATE INDEX follows_follower_recent ON follows (follower_id, created_at DESC, followed_id DESC)
    WHERE by_index('follows_follower_recent', follower_id);

-- A vacuum or an analysis comes after a hundredth of the rows has changed, and not after a fifth or a tenth, so that
-- nearly all pages stay visible to index-only scans. It visits the indexes each time: where it left entries of dead rows
-- there, the pages of these rows would stay invisible.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'users', 'user_texts', 'flyers', 'flyer_texts', 'flyer_images', 'favorites', 'follows', 'content_versions'
    ] LOOP
        EXECUTE format(
            'ALTER TABLE %I SET (autovacuum_vacuum_scale_factor = 0.01, '
            'autovacuum_vacuum_threshold = 100, autovacuum_vacuum_insert_scale_factor = 0.01, '
            'autovacuum_vacuum_insert_threshold = 100, autovacuum_analyze_scale_factor = 0.01, '
            'autovacuum_analyze_threshold = 100, vacuum_index_cleanup = on)', name);
    END LOOP;
END $$;
