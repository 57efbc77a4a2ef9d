DROP INDEX flyers_valid_from;
DROP TRIGGER users_move_version ON users;
DROP TRIGGER flyers_move_version ON flyers;
DROP FUNCTION move_content_version();
DROP TABLE content_versions;
ALTER TABLE users DROP COLUMN relations_version;
