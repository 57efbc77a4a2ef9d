/* flyer_deletion */
DELETE
FROM `flyers`
WHERE (`flyers`.`id` = ?)
