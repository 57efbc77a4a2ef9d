/* relations_page */
SELECT flyer_id, created_at
FROM favorites INDEXED BY favorites_user_recent
WHERE user_id = :user
AND (created_at, flyer_id) < (:at, :id)
ORDER BY created_at DESC, flyer_id DESC
LIMIT :limit
OFFSET :offset
