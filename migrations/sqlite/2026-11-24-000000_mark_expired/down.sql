DROP TRIGGER favorites_follow_flyer;
CREATE TABLE favorites_without_copies (
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    flyer_id BIGINT NOT NULL REFERENCES flyers (id) ON DELETE CASCADE,
    created_at TIMESTAMP NOT NULL,
    flyer_created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (user_id, flyer_id)
) WITHOUT ROWID;
INSERT INTO favorites_without_copies SELECT user_id, flyer_id, created_at, flyer_created_at FROM favorites;
DROP TABLE favorites;
ALTER TABLE favorites_without_copies RENAME TO favorites;
CREATE INDEX favorites_feed ON favorites (user_id, flyer_created_at DESC, flyer_id DESC);
CREATE INDEX favorites_user_recent ON favorites (user_id, created_at DESC, flyer_id DESC);
CREATE INDEX favorites_flyer_recent ON favorites (flyer_id, created_at DESC);

DROP INDEX flyers_to_mark;
DROP INDEX flyers_to_clear;
DROP INDEX flyers_creator_recent;
DROP INDEX flyers_creator_feed;
DROP INDEX flyers_feed;
ALTER TABLE flyers DROP COLUMN id_key;
ALTER TABLE flyers DROP COLUMN expired;
CREATE INDEX flyers_feed ON flyers (created_at DESC, id DESC, creator_id, valid_until, valid_from);
CREATE INDEX flyers_creator_feed ON flyers (creator_id, created_at DESC, id DESC, valid_until, valid_from);
