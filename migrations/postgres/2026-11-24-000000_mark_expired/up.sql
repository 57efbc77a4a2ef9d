-- Feeds pass over what has ended without looking at it: flyers carry a mark, favorites carry all that a feed asks of
-- their flyer, and the feeds' indexes hold what is not marked.

-- Set by the sweeper some time after valid_until. A flyer without it is valid or not by the clock; one with it is in
-- no feed, so whoever changes valid_until clears it.
ALTER TABLE flyers ADD COLUMN expired BOOLEAN NOT NULL DEFAULT FALSE;

DROP INDEX flyers_feed;
DROP INDEX flyers_creator_feed;
-- Main feed and the look of the following feed, in their order; what they filter by lies behind the keys, so that they
-- answer from the index alone.
CREATE INDEX flyers_feed ON flyers (created_at DESC, id DESC)
    INCLUDE (creator_id, valid_until, valid_from, categories) WHERE expired = FALSE;
-- Following feed: the newest flyers of one creator.
CREATE INDEX flyers_creator_feed ON flyers (creator_id, created_at DESC, id DESC)
    INCLUDE (valid_until, valid_from, categories) WHERE expired = FALSE;
-- All flyers of one creator, as they see them themselves; deleting a user. With the mark in front of the order, so
-- that a planner which takes it for the feed's passes over a backlog all the same.
CREATE INDEX flyers_creator_recent ON flyers (creator_id, expired, created_at DESC, id DESC);
-- The sweeper: what is not marked and over; what is marked and not over. The first is written in other words than
-- the feeds' indexes, so that no planner takes it for a feed.
CREATE INDEX flyers_to_mark ON flyers (valid_until) WHERE expired IS NOT TRUE;
CREATE INDEX flyers_to_clear ON flyers (valid_until) WHERE expired;

-- Copies of the flyer's columns: the favorites feed is one range of one index.
ALTER TABLE favorites
    ADD COLUMN flyer_valid_from TIMESTAMP,
    ADD COLUMN flyer_valid_until TIMESTAMP,
    ADD COLUMN flyer_categories SMALLINT,
    ADD COLUMN flyer_expired BOOLEAN;
UPDATE favorites v
SET flyer_valid_from = f.valid_from, flyer_valid_until = f.valid_until, flyer_categories = f.categories,
    flyer_expired = f.expired
FROM flyers f WHERE f.id = v.flyer_id;
ALTER TABLE favorites
    ALTER COLUMN flyer_valid_from SET NOT NULL,
    ALTER COLUMN flyer_valid_until SET NOT NULL,
    ALTER COLUMN flyer_categories SET NOT NULL,
    ALTER COLUMN flyer_expired SET NOT NULL;

-- The copies follow their flyer whoever writes it, in the same transaction.
CREATE FUNCTION favorites_follow_flyer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE favorites
    SET flyer_valid_from = NEW.valid_from, flyer_valid_until = NEW.valid_until,
        flyer_categories = NEW.categories, flyer_expired = NEW.expired
    WHERE flyer_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER favorites_follow_flyer
    AFTER UPDATE OF valid_from, valid_until, categories, expired ON flyers
    FOR EACH ROW EXECUTE FUNCTION favorites_follow_flyer();

DROP INDEX favorites_feed;
-- Favorites feed by the flyers' recency, in its order.
CREATE INDEX favorites_feed ON favorites (user_id, flyer_created_at DESC, flyer_id DESC)
    INCLUDE (flyer_valid_until, flyer_valid_from, flyer_categories) WHERE flyer_expired = FALSE;
-- Favorites feed by the favorites' recency, in its order.
CREATE INDEX favorites_recent_feed ON favorites (user_id, created_at DESC, flyer_id DESC)
    INCLUDE (flyer_valid_until, flyer_valid_from, flyer_categories) WHERE flyer_expired = FALSE;
