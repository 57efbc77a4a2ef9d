/* relations_page */
SELECT followed_id, created_at
FROM (
  SELECT *
  FROM follows
  WHERE by_index('follows_follower_recent', follower_id)
) follows
WHERE follower_id = :user
AND (created_at, followed_id) < (:at, :id)
ORDER BY created_at DESC, followed_id DESC
LIMIT :limit
OFFSET :offset
