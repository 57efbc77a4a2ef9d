/* relations_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM (
    SELECT *
    FROM favorites
    WHERE by_index('favorites_user_recent', user_id)
  ) favorites
  WHERE user_id = :user
  LIMIT 1001
) r
