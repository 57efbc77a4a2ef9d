/* relations_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM favorites INDEXED BY favorites_user_recent
  WHERE user_id = :user
  LIMIT 1001
) r
