/* lift_limit */
UPDATE `users`
SET `lifts` = (`users`.`lifts` + ?)
WHERE (`users`.`email_key` = ?)
