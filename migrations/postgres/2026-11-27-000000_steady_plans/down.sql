DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'users', 'user_texts', 'flyers', 'flyer_texts', 'flyer_images', 'favorites', 'follows', 'content_versions'
    ] LOOP
        EXECUTE format(
            'ALTER TABLE %I RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, '
            'autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_insert_threshold, '
            'autovacuum_analyze_scale_factor, autovacuum_analyze_threshold, vacuum_index_cleanup)', name);
    END LOOP;
END $$;

DROP INDEX flyers_feed;
CREATE INDEX flyers_feed ON flyers (created_at DESC, id DESC)
    INCLUDE (creator_id, valid_until, valid_from, categories, latitude, longitude) WHERE expired = FALSE;
DROP INDEX flyers_creator_feed;
CREATE INDEX flyers_creator_feed ON flyers (creator_id, created_at DESC, id DESC)
    INCLUDE (valid_until, valid_from, categories, latitude, longitude) WHERE expired = FALSE;
DROP INDEX flyers_small_cell_feed;
CREATE INDEX flyers_small_cell_feed ON flyers (
    (CAST(floor((latitude + 90) * 64) AS bigint) * 32768 + CAST(floor((longitude + 180) * 64) AS bigint)),
    created_at DESC, id DESC
) INCLUDE (latitude, longitude, creator_id, valid_until, valid_from, categories) WHERE expired = FALSE;
DROP INDEX flyers_medium_cell_feed;
CREATE INDEX flyers_medium_cell_feed ON flyers (
    (CAST(floor((latitude + 90) * 16) AS bigint) * 32768 + CAST(floor((longitude + 180) * 16) AS bigint)),
    created_at DESC, id DESC
) INCLUDE (latitude, longitude, creator_id, valid_until, valid_from, categories) WHERE expired = FALSE;
DROP INDEX flyers_large_cell_feed;
CREATE INDEX flyers_large_cell_feed ON flyers (
    (CAST(floor((latitude + 90) * 4) AS bigint) * 32768 + CAST(floor((longitude + 180) * 4) AS bigint)),
    created_at DESC, id DESC
) INCLUDE (latitude, longitude, creator_id, valid_until, valid_from, categories) WHERE expired = FALSE;
DROP INDEX flyers_to_mark;
CREATE INDEX flyers_to_mark ON flyers (valid_until) WHERE expired IS NOT TRUE;
DROP INDEX flyers_to_clear;
CREATE INDEX flyers_to_clear ON flyers (valid_until) WHERE expired;
DROP INDEX flyers_valid_from;
CREATE INDEX flyers_valid_from ON flyers (valid_from);

DROP INDEX favorites_feed;
CREATE INDEX favorites_feed ON favorites (user_id, flyer_created_at DESC, flyer_id DESC)
    INCLUDE (flyer_valid_until, flyer_valid_from, flyer_categories) WHERE flyer_expired = FALSE;
DROP INDEX favorites_recent_feed;
CREATE INDEX favorites_recent_feed ON favorites (user_id, created_at DESC, flyer_id DESC)
    INCLUDE (flyer_valid_until, flyer_valid_from, flyer_categories) WHERE flyer_expired = FALSE;
DROP INDEX favorites_user_recent;
CREATE INDEX favorites_user_recent ON favorites (user_id, created_at DESC, flyer_id DESC);
DROP INDEX follows_follower_recent;
CREATE INDEX follows_follower_recent ON follows (follower_id, created_at DESC, followed_id DESC);

DROP FUNCTION by_index(text, bigint);
DROP FUNCTION seek(bigint);
DROP FUNCTION seek(bigint[]);
