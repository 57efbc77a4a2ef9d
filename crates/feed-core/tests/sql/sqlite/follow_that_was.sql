/* follow_that_was */
SELECT `follows`.`follower_id`, `follows`.`followed_id`, `follows`.`created_at`
FROM `follows`
WHERE ((`follows`.`follower_id` = ?) AND (`follows`.`followed_id` = ?))
