/* own_flyer */
SELECT `flyers`.`id`, `flyers`.`creator_id`, `flyers`.`title`, `flyers`.`description`, `flyers`.`location_address`, `flyers`.`latitude`, `flyers`.`longitude`, `flyers`.`categories`, `flyers`.`valid_from`, `flyers`.`valid_until`, `flyers`.`created_at`, `flyers`.`expired`
FROM `flyers`
WHERE (`flyers`.`id` = ?)
