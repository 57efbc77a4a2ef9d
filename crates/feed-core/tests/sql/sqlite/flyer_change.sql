/* flyer_change */
UPDATE `flyers`
SET `title` = ?, `description` = ?, `location_address` = ?, `latitude` = ?, `longitude` = ?
WHERE (`flyers`.`id` = ?)
