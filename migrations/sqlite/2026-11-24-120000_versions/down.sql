DROP INDEX flyers_valid_from;
DROP TRIGGER users_move_version_on_delete;
DROP TRIGGER users_move_version_on_update;
DROP TRIGGER flyers_move_version_on_delete;
DROP TRIGGER flyers_move_version_on_update;
DROP TRIGGER flyers_move_version_on_insert;
DROP TABLE content_versions;
ALTER TABLE users DROP COLUMN relations_version;
