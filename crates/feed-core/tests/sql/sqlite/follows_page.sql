/* relations_page */
SELECT followed_id, created_at
FROM follows INDEXED BY follows_follower_recent
WHERE follower_id = :user
AND (created_at, followed_id) < (:at, :id)
ORDER BY created_at DESC, followed_id DESC
LIMIT :limit
OFFSET :offset
