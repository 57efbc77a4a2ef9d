/* relations_page */
SELECT flyer_id, created_at
FROM favorites
WHERE user_id = :user
AND (created_at, flyer_id) > (:at, :id)
ORDER BY created_at ASC, flyer_id ASC
LIMIT :limit
OFFSET :offset
