/* flyer_change */
UPDATE `flyers`
SET `title` = ?, `description` = ?, `location_address` = ?, `latitude` = ?, `longitude` = ?, `categories` = ?, `valid_from` = ?, `valid_until` = ?, `expired` = ?
WHERE (`flyers`.`id` = ?)
