/* flyer_images_anew */
DELETE
FROM `flyer_images`
WHERE (`flyer_images`.`flyer_id` = ?)
