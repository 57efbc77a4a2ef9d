DROP INDEX flyers_small_cell_feed;
DROP INDEX flyers_medium_cell_feed;
DROP INDEX flyers_large_cell_feed;
DROP INDEX flyers_feed;
DROP INDEX flyers_creator_feed;
CREATE INDEX flyers_feed ON flyers (created_at DESC, id DESC)
    INCLUDE (creator_id, valid_until, valid_from, categories) WHERE expired = FALSE;
CREATE INDEX flyers_creator_feed ON flyers (creator_id, created_at DESC, id DESC)
    INCLUDE (valid_until, valid_from, categories) WHERE expired = FALSE;
-- The extensions stay: somebody else may use them by now.
DROP TABLE flyer_texts;
DROP TABLE user_texts;
