/* sweep */
UPDATE flyers
SET expired = false
WHERE id IN (
  SELECT id
  FROM flyers
  WHERE expired
  AND valid_until > :at
  ORDER BY valid_until
  LIMIT 1000
  FOR NO KEY
  UPDATE SKIP LOCKED
)
AND expired
AND valid_until > :at
