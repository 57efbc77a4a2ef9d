/* relations_page */
SELECT followed_id, created_at
FROM follows
WHERE follower_id = :user
AND (created_at, followed_id) > (:at, :id)
ORDER BY created_at ASC, followed_id ASC
LIMIT :limit
OFFSET :offset
