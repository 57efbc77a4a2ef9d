/* account_deletion */
DELETE
FROM `flyers`
WHERE (`flyers`.`creator_id` = ?)
