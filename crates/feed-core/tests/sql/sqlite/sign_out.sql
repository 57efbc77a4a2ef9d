/* sign_out */
UPDATE `users`
SET `token_key` = ?
WHERE ((`users`.`id` = ?) AND (`users`.`token_key` = ?))
