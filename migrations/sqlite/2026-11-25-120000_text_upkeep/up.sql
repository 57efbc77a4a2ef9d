-- What search compares with is never older than what it was made of. See feed_core::text.

-- Whoever changes a text or a name writes the folded one anew. Where somebody else did, it is gone, and `feed-api serve` or
-- `feed-api migrate` writes what lacks.
CREATE TRIGGER flyers_forget_text AFTER UPDATE OF title, description, location_address ON flyers
WHEN OLD.title <> NEW.title OR OLD.description <> NEW.description OR OLD.location_address <> NEW.location_address
BEGIN
    DELETE FROM flyer_texts WHERE flyer_id = NEW.id;
END;
CREATE TRIGGER users_forget_text AFTER UPDATE OF username ON users
WHEN OLD.username <> NEW.username
BEGIN
    DELETE FROM user_texts WHERE user_id = NEW.id;
END;

-- Folded before, a capital of this letter was no "ss".
DELETE FROM flyer_texts WHERE instr(text, 'ß') > 0;
DELETE FROM user_texts WHERE instr(text, 'ß') > 0;

-- Where each trigram is, for searches of one or two characters: those that begin with them. Asked for one by one, FTS5
-- would need the square of their number, and nothing could end it.
DROP TABLE flyer_trigram_terms;
CREATE VIRTUAL TABLE flyer_trigram_places USING fts5vocab (flyer_trigrams, instance);
