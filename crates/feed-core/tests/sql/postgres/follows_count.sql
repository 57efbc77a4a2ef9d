/* relations_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM (
    SELECT *
    FROM follows
    WHERE by_index('follows_follower_recent', follower_id)
  ) follows
  WHERE follower_id = :user
  LIMIT 1001
) r
