/* reset_password */
UPDATE `users`
SET `password_hash` = ?
WHERE (`users`.`email_key` = ?)
