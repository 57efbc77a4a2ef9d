-- Feeds pass over what has ended without looking at it: flyers carry a mark, favorites carry all that a feed asks of
-- their flyer, and the feeds' indexes hold what is not marked.

-- Set by the sweeper some time after valid_until. A flyer without it is valid or not by the clock; one with it is in
-- no feed, so whoever changes valid_until clears it.
ALTER TABLE flyers ADD COLUMN expired BOOLEAN NOT NULL DEFAULT FALSE CHECK (expired IN (FALSE, TRUE));

-- The id once more, for indexes that are entered at (created_at, id): SQLite compares such a pair within an index only
-- where no part of it is the rowid itself. It takes no place in the table.
ALTER TABLE flyers ADD COLUMN id_key BIGINT GENERATED ALWAYS AS (id) VIRTUAL;

DROP INDEX flyers_feed;
DROP INDEX flyers_creator_feed;
-- Main feed and the look of the following feed, in their order; what they filter by lies behind the keys, so that they
-- answer from the index alone.
CREATE INDEX flyers_feed ON flyers (created_at DESC, id_key DESC, creator_id, valid_until, valid_from, categories)
    WHERE expired = FALSE;
-- Following feed: the newest flyers of one creator.
CREATE INDEX flyers_creator_feed ON flyers
    (creator_id, created_at DESC, id_key DESC, valid_until, valid_from, categories) WHERE expired = FALSE;
-- All flyers of one creator, as they see them themselves; deleting a user. With the mark in front of the order, so
-- that a planner which takes it for the feed's passes over a backlog all the same.
CREATE INDEX flyers_creator_recent ON flyers (creator_id, expired, created_at DESC, id_key DESC);
-- The sweeper: what is not marked and over; what is marked and not over. The first is written in other words than
-- the feeds' indexes, so that no planner takes it for a feed.
CREATE INDEX flyers_to_mark ON flyers (valid_until) WHERE expired IS NOT TRUE;
CREATE INDEX flyers_to_clear ON flyers (valid_until) WHERE expired;

-- SQLite adds no NOT NULL column without a default, so the table is made anew.
CREATE TABLE favorites_with_copies (
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    flyer_id BIGINT NOT NULL REFERENCES flyers (id) ON DELETE CASCADE,
    created_at TIMESTAMP NOT NULL,
    -- Copies of the flyer's columns: the favorites feed is one range of one index.
    flyer_created_at TIMESTAMP NOT NULL,
    flyer_valid_from TIMESTAMP NOT NULL,
    flyer_valid_until TIMESTAMP NOT NULL,
    flyer_categories SMALLINT NOT NULL,
    flyer_expired BOOLEAN NOT NULL,
    -- is_favorited of a page; one favorite a user and flyer.
    PRIMARY KEY (user_id, flyer_id)
) WITHOUT ROWID;
INSERT INTO favorites_with_copies
SELECT v.user_id, v.flyer_id, v.created_at, v.flyer_created_at, f.valid_from, f.valid_until, f.categories, f.expired
FROM favorites v CROSS JOIN flyers f WHERE f.id = v.flyer_id;
DROP TABLE favorites;
ALTER TABLE favorites_with_copies RENAME TO favorites;

-- The copies follow their flyer whoever writes it, in the same transaction.
CREATE TRIGGER favorites_follow_flyer AFTER UPDATE OF valid_from, valid_until, categories, expired ON flyers
BEGIN
    UPDATE favorites
    SET flyer_valid_from = NEW.valid_from, flyer_valid_until = NEW.valid_until,
        flyer_categories = NEW.categories, flyer_expired = NEW.expired
    WHERE flyer_id = NEW.id;
END;

-- Favorites feed by the flyers' recency, in its order.
CREATE INDEX favorites_feed ON favorites
    (user_id, flyer_created_at DESC, flyer_id DESC, flyer_valid_until, flyer_valid_from, flyer_categories)
    WHERE flyer_expired = FALSE;
-- Favorites feed by the favorites' recency, in its order.
CREATE INDEX favorites_recent_feed ON favorites
    (user_id, created_at DESC, flyer_id DESC, flyer_valid_until, flyer_valid_from, flyer_categories)
    WHERE flyer_expired = FALSE;
-- A user's favorites, most recent first.
CREATE INDEX favorites_user_recent ON favorites (user_id, created_at DESC, flyer_id DESC);
-- Who favorited a flyer; deleting a flyer.
CREATE INDEX favorites_flyer_recent ON favorites (flyer_id, created_at DESC);
