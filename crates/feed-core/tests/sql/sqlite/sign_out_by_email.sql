/* sign_out_by_email */
UPDATE `users`
SET `token_key` = ?
WHERE (`users`.`email_key` = ?)
