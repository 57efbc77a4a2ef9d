/* unfavorite */
DELETE
FROM `favorites`
WHERE ((`favorites`.`user_id` = ?) AND (`favorites`.`flyer_id` = ?))
