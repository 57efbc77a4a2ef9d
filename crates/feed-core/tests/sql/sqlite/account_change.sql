/* account_change */
UPDATE `users`
SET `username` = ?, `password_hash` = ?, `token_key` = ?
WHERE (`users`.`id` = ?)
