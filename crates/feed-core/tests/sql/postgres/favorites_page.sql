/* relations_page */
SELECT flyer_id, created_at
FROM (
  SELECT *
  FROM favorites
  WHERE by_index('favorites_user_recent', user_id)
) favorites
WHERE user_id = :user
AND (created_at, flyer_id) < (:at, :id)
ORDER BY created_at DESC, flyer_id DESC
LIMIT :limit
OFFSET :offset
