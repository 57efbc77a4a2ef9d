ALTER TABLE users DROP COLUMN lifts;
DROP TRIGGER users_token_key;
ALTER TABLE users DROP COLUMN token_key;
