/* move_relations_version */
UPDATE `users`
SET `relations_version` = (`users`.`relations_version` + ?)
WHERE (`users`.`id` = ?)
