/* by_email */
SELECT `users`.`id`, `users`.`token_key`
FROM `users`
WHERE (`users`.`email_key` = ?)
