/* lock_caller */
SELECT `users`.`id`
FROM `users`
WHERE ((`users`.`id` = ?) AND (`users`.`token_key` = ?))
