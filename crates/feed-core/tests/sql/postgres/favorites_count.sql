/* relations_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM favorites
  WHERE user_id = :user
  LIMIT 1001
) r
