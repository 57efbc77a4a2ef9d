/* is_registered */
SELECT `users`.`id`
FROM `users`
WHERE (`users`.`email_key` = ?)
