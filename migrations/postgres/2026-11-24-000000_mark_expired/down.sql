DROP TRIGGER favorites_follow_flyer ON flyers;
DROP FUNCTION favorites_follow_flyer();
DROP INDEX favorites_feed;
DROP INDEX favorites_recent_feed;
ALTER TABLE favorites
    DROP COLUMN flyer_valid_from,
    DROP COLUMN flyer_valid_until,
    DROP COLUMN flyer_categories,
    DROP COLUMN flyer_expired;
CREATE INDEX favorites_feed ON favorites (user_id, flyer_created_at DESC, flyer_id DESC);

DROP INDEX flyers_to_mark;
DROP INDEX flyers_to_clear;
DROP INDEX flyers_creator_recent;
DROP INDEX flyers_creator_feed;
DROP INDEX flyers_feed;
ALTER TABLE flyers DROP COLUMN expired;
CREATE INDEX flyers_feed ON flyers (created_at DESC, id DESC) INCLUDE (creator_id, valid_until, valid_from);
CREATE INDEX flyers_creator_feed ON flyers (creator_id, created_at DESC, id DESC) INCLUDE (valid_until, valid_from);
