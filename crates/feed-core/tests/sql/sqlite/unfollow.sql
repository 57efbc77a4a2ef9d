/* unfollow */
DELETE
FROM `follows`
WHERE ((`follows`.`follower_id` = ?) AND (`follows`.`followed_id` = ?))
