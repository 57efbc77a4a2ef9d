/* own_profile */
SELECT `users`.`id`, `users`.`username`, `users`.`email`, `users`.`profile_picture_url`
FROM `users`
WHERE ((`users`.`id` = ?) AND (`users`.`token_key` = ?))
