/* sweep */
UPDATE flyers
SET expired = false
WHERE id = ANY (seek(ARRAY(
  SELECT id
  FROM flyers
  WHERE by_index('flyers_to_clear', id)
  AND expired = true
  AND valid_until > :at
  ORDER BY valid_until
  LIMIT 1000
  FOR NO KEY
  UPDATE SKIP LOCKED
)))
AND expired = true
AND valid_until > :at
RETURNING id
