/* sweep */
UPDATE flyers
SET expired = true
WHERE id = ANY (seek(ARRAY(
  SELECT id
  FROM flyers
  WHERE by_index('flyers_to_mark', id)
  AND expired = false
  AND valid_until < :at
  ORDER BY valid_until
  LIMIT 1000
  FOR NO KEY
  UPDATE SKIP LOCKED
)))
AND expired = false
AND valid_until < :at
RETURNING id
