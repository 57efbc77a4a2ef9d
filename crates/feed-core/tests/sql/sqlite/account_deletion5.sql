/* account_deletion */
DELETE
FROM `users`
WHERE (`users`.`id` = ?)
