/* lock_caller */
SELECT `users`.`id`
FROM `users`
WHERE (`users`.`id` = ?)
