/* flyer_images_that_were */
SELECT `flyer_images`.`url`
FROM `flyer_images`
WHERE (`flyer_images`.`flyer_id` = ?)
ORDER BY `flyer_images`.`position`
