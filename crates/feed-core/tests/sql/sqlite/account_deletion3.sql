/* account_deletion */
DELETE
FROM `follows`
WHERE (`follows`.`followed_id` = ?)
