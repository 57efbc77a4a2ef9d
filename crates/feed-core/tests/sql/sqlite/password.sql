/* password */
SELECT `users`.`password_hash`
FROM `users`
WHERE (`users`.`id` = ?)
