-- Search and "near me". See feed_core::text and feed_core::geo for what is stored here, feed_core::feed for who reads it.

-- What a search compares with: title, description and address of a flyer, folded by Rust, since lower() knows ASCII
-- only. A table of its own: what changes a flyer's validity leaves the text and its index alone.
CREATE TABLE flyer_texts (
    flyer_id INTEGER NOT NULL PRIMARY KEY REFERENCES flyers (id) ON DELETE CASCADE,
    -- The flyer's created_at, which never changes.
    created_at TIMESTAMP NOT NULL,
    text TEXT NOT NULL
);
-- And the names of those who publish.
CREATE TABLE user_texts (
    user_id INTEGER NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    text TEXT NOT NULL
);

-- Every three characters that follow each other in a text, without their places: what is found by them is compared
-- with the text itself. Folded already, hence case_sensitive.
--
-- A flyer's rowid is (seconds of created_at / 8192) << 38 | id: the index is read in the order of the feeds but for the
-- order within two hours, and the numbers of neighbours stay close, which keeps the index small.
CREATE VIRTUAL TABLE flyer_trigrams USING fts5
    (text, content = '', columnsize = 0, detail = none, tokenize = 'trigram case_sensitive 1');
CREATE VIRTUAL TABLE user_trigrams USING fts5
    (text, content = '', columnsize = 0, detail = none, tokenize = 'trigram case_sensitive 1');
-- The trigrams there are: those that begin with one or two characters, for searches that have no more.
CREATE VIRTUAL TABLE flyer_trigram_terms USING fts5vocab (flyer_trigrams, row);

-- What is not in flyer_trigrams yet, 15 flyers at most. To add a text rewrites some pages, however many texts come with
-- it: one publication of 16 adds them all, and whoever searches looks at these one by one.
CREATE TABLE flyer_texts_to_index (
    flyer_id INTEGER NOT NULL PRIMARY KEY
);
CREATE TRIGGER flyer_texts_insert AFTER INSERT ON flyer_texts
BEGIN
    INSERT INTO flyer_texts_to_index (flyer_id) VALUES (NEW.flyer_id);
    INSERT INTO flyer_trigrams (rowid, text)
    SELECT CAST(strftime('%s', t.created_at) AS INTEGER) / 8192 << 38 | t.flyer_id, t.text
    FROM flyer_texts_to_index i CROSS JOIN flyer_texts t
    WHERE t.flyer_id = i.flyer_id AND (SELECT count(*) FROM flyer_texts_to_index) >= 16;
    DELETE FROM flyer_texts_to_index WHERE (SELECT count(*) FROM flyer_texts_to_index) >= 16;
END;
CREATE TRIGGER flyer_texts_delete AFTER DELETE ON flyer_texts
BEGIN
    INSERT INTO flyer_trigrams (flyer_trigrams, rowid, text)
    SELECT 'delete', CAST(strftime('%s', OLD.created_at) AS INTEGER) / 8192 << 38 | OLD.flyer_id, OLD.text
    WHERE OLD.flyer_id NOT IN (SELECT flyer_id FROM flyer_texts_to_index);
    DELETE FROM flyer_texts_to_index WHERE flyer_id = OLD.flyer_id;
END;
CREATE TRIGGER flyer_texts_update AFTER UPDATE ON flyer_texts
WHEN OLD.flyer_id NOT IN (SELECT flyer_id FROM flyer_texts_to_index)
BEGIN
    INSERT INTO flyer_trigrams (flyer_trigrams, rowid, text)
    VALUES ('delete', CAST(strftime('%s', OLD.created_at) AS INTEGER) / 8192 << 38 | OLD.flyer_id, OLD.text);
    INSERT INTO flyer_trigrams (rowid, text)
    VALUES (CAST(strftime('%s', NEW.created_at) AS INTEGER) / 8192 << 38 | NEW.flyer_id, NEW.text);
END;
CREATE TRIGGER user_texts_insert AFTER INSERT ON user_texts
BEGIN
    INSERT INTO user_trigrams (rowid, text) VALUES (NEW.user_id, NEW.text);
END;
CREATE TRIGGER user_texts_delete AFTER DELETE ON user_texts
BEGIN
    INSERT INTO user_trigrams (user_trigrams, rowid, text) VALUES ('delete', OLD.user_id, OLD.text);
END;
CREATE TRIGGER user_texts_update AFTER UPDATE ON user_texts
BEGIN
    INSERT INTO user_trigrams (user_trigrams, rowid, text) VALUES ('delete', OLD.user_id, OLD.text);
    INSERT INTO user_trigrams (rowid, text) VALUES (NEW.user_id, NEW.text);
END;

-- The cells that a flyer lies in: of 1/64 degree a side, of 1/16 and of 1/4. They take no place in the table.
ALTER TABLE flyers ADD COLUMN small_cell BIGINT GENERATED ALWAYS AS
    (CAST((latitude + 90) * 64 AS INTEGER) * 32768 + CAST((longitude + 180) * 64 AS INTEGER)) VIRTUAL;
ALTER TABLE flyers ADD COLUMN medium_cell BIGINT GENERATED ALWAYS AS
    (CAST((latitude + 90) * 16 AS INTEGER) * 32768 + CAST((longitude + 180) * 16 AS INTEGER)) VIRTUAL;
ALTER TABLE flyers ADD COLUMN large_cell BIGINT GENERATED ALWAYS AS
    (CAST((latitude + 90) * 4 AS INTEGER) * 32768 + CAST((longitude + 180) * 4 AS INTEGER)) VIRTUAL;
-- Near me: the newest flyers of one cell.
CREATE INDEX flyers_small_cell_feed ON flyers
    (small_cell, created_at DESC, id_key DESC, latitude, longitude, creator_id, valid_until, valid_from, categories)
    WHERE expired = FALSE;
CREATE INDEX flyers_medium_cell_feed ON flyers
    (medium_cell, created_at DESC, id_key DESC, latitude, longitude, creator_id, valid_until, valid_from, categories)
    WHERE expired = FALSE;
CREATE INDEX flyers_large_cell_feed ON flyers
    (large_cell, created_at DESC, id_key DESC, latitude, longitude, creator_id, valid_until, valid_from, categories)
    WHERE expired = FALSE;

-- As before, and with the place: "near me" filters by it.
DROP INDEX flyers_feed;
DROP INDEX flyers_creator_feed;
CREATE INDEX flyers_feed ON flyers
    (created_at DESC, id_key DESC, creator_id, valid_until, valid_from, categories, latitude, longitude)
    WHERE expired = FALSE;
CREATE INDEX flyers_creator_feed ON flyers
    (creator_id, created_at DESC, id_key DESC, valid_until, valid_from, categories, latitude, longitude)
    WHERE expired = FALSE;
