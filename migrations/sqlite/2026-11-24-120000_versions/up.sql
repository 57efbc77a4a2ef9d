-- What says whether a feed is still as a caller has it, without reading the feed: versions that every change moves in its
-- own transaction, and the moments at which a validity begins or ends. See feed_core::validator.

-- Moved by every change of the user's favorites and follows.
ALTER TABLE users ADD COLUMN relations_version BIGINT NOT NULL DEFAULT 0;

-- Moved by every change of what feeds show to everybody; their sum counts. By steps of chance, from a start of chance: a
-- history that was lost, by a restored backup or a failover, is not counted again for another one. One row would do on SQLite, which has one
-- writer. PostgreSQL has 16, so that those who publish at once do not wait for each other.
CREATE TABLE content_versions (
    shard INTEGER NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL
);
INSERT INTO content_versions (shard, version) VALUES (0, random() & 1099511627775);

-- By the database, so that nobody who writes can forget it. Images change only together with their flyer.
CREATE TRIGGER flyers_move_version_on_insert AFTER INSERT ON flyers
BEGIN
    UPDATE content_versions SET version = version + 1 + (random() & 1048575) WHERE shard = 0;
END;
CREATE TRIGGER flyers_move_version_on_update AFTER UPDATE ON flyers
BEGIN
    UPDATE content_versions SET version = version + 1 + (random() & 1048575) WHERE shard = 0;
END;
CREATE TRIGGER flyers_move_version_on_delete AFTER DELETE ON flyers
BEGIN
    UPDATE content_versions SET version = version + 1 + (random() & 1048575) WHERE shard = 0;
END;
CREATE TRIGGER users_move_version_on_update AFTER UPDATE OF username, profile_picture_url ON users
BEGIN
    UPDATE content_versions SET version = version + 1 + (random() & 1048575) WHERE shard = 0;
END;
CREATE TRIGGER users_move_version_on_delete AFTER DELETE ON users
BEGIN
    UPDATE content_versions SET version = version + 1 + (random() & 1048575) WHERE shard = 0;
END;

-- The latest beginning of a validity, for the same purpose. The latest end is found in the sweeper's index: a mark, which
-- takes a flyer out of it, moves the version.
CREATE INDEX flyers_valid_from ON flyers (valid_from);
