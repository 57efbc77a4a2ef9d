-- What search compares with is never older than what it was made of. See feed_core::text.

-- Whoever changes a text or a name writes the folded one anew. Where somebody else did, it is gone, and `feed-api serve` or
-- `feed-api migrate` writes what lacks.
CREATE FUNCTION forget_flyer_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM flyer_texts WHERE flyer_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER flyers_forget_text AFTER UPDATE OF title, description, location_address ON flyers FOR EACH ROW
    WHEN ((OLD.title, OLD.description, OLD.location_address)
        IS DISTINCT FROM (NEW.title, NEW.description, NEW.location_address))
    EXECUTE FUNCTION forget_flyer_text();
CREATE FUNCTION forget_user_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM user_texts WHERE user_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER users_forget_text AFTER UPDATE OF username ON users FOR EACH ROW
    WHEN (OLD.username <> NEW.username) EXECUTE FUNCTION forget_user_text();

-- Folded before, a capital of this letter was no "ss".
DELETE FROM flyer_texts WHERE strpos(text, 'ß') > 0;
DELETE FROM user_texts WHERE strpos(text, 'ß') > 0;
