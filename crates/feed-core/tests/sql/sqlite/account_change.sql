/* account_change */
UPDATE `users`
SET `username` = ?, `password_hash` = ?
WHERE (`users`.`id` = ?)
