-- What says whether a feed is still as a caller has it, without reading the feed: versions that every change moves in its
-- own transaction, and the moments at which a validity begins or ends. See feed_core::validator.

-- Moved by every change of the user's favorites and follows.
ALTER TABLE users ADD COLUMN relations_version BIGINT NOT NULL DEFAULT 0;

-- Moved by every change of what feeds show to everybody; their sum counts. By steps of chance, from a start of chance: a
-- history that was lost, by a restored backup or a failover, is not counted again for another one. 16 rows and each connection its own, so that
-- those who publish at once do not wait for each other. Rows and no sequence: a sequence moves before the commit.
CREATE TABLE content_versions (
    shard INTEGER NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL
);
INSERT INTO content_versions (shard, version) SELECT shard, CAST(random() * 1099511627776 AS BIGINT)
FROM generate_series(0, 15) AS shard;

-- By the database, so that nobody who writes can forget it. Images change only together with their flyer.
CREATE FUNCTION move_content_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE content_versions SET version = version + 1 + CAST(random() * 1048576 AS BIGINT)
    WHERE shard = pg_backend_pid() % 16;
    RETURN NULL;
END $$;
CREATE TRIGGER flyers_move_version AFTER INSERT OR DELETE OR UPDATE ON flyers
    FOR EACH STATEMENT EXECUTE FUNCTION move_content_version();
CREATE TRIGGER users_move_version AFTER DELETE OR UPDATE OF username, profile_picture_url ON users
    FOR EACH STATEMENT EXECUTE FUNCTION move_content_version();

-- The latest beginning of a validity, for the same purpose. The latest end is found in the sweeper's index: a mark, which
-- takes a flyer out of it, moves the version.
CREATE INDEX flyers_valid_from ON flyers (valid_from);
