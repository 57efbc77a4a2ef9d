/* user_is_there */
SELECT `users`.`id`
FROM `users`
WHERE (`users`.`id` = ?)
