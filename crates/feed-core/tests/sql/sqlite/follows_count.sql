/* relations_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM follows INDEXED BY follows_follower_recent
  WHERE follower_id = :user
  LIMIT 1001
) r
