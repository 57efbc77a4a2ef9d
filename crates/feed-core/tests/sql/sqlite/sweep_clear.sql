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
)
AND expired
AND valid_until > :at
RETURNING id
