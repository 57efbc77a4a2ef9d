/* flyer_text_anew */
DELETE
FROM `flyer_texts`
WHERE (`flyer_texts`.`flyer_id` = ?)
