/* sweep */
UPDATE flyers
SET expired = true
WHERE id IN (
  SELECT id
  FROM flyers
  WHERE expired IS NOT TRUE
  AND valid_until < :at
  ORDER BY valid_until
  LIMIT 1000
)
AND expired IS NOT TRUE
AND valid_until < :at
RETURNING id
