/* relations_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM follows
  WHERE follower_id = :user
  LIMIT 1001
) r
