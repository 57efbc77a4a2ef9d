/* favorite_that_was */
SELECT `favorites`.`user_id`, `favorites`.`flyer_id`, `favorites`.`created_at`, `favorites`.`flyer_created_at`, `favorites`.`flyer_valid_from`, `favorites`.`flyer_valid_until`, `favorites`.`flyer_categories`, `favorites`.`flyer_expired`
FROM `favorites`
WHERE ((`favorites`.`user_id` = ?) AND (`favorites`.`flyer_id` = ?))
