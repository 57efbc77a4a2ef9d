/* profile */
SELECT u.username, u.profile_picture_url, coalesce(
  (
    SELECT TRUE
    FROM follows w
    WHERE w.follower_id = :viewer
    AND w.followed_id = u.id
    LIMIT 1
  ), FALSE
), (
  SELECT count(*)
  FROM (
    SELECT 1
    FROM follows w
    WHERE w.followed_id = seek(:user)
    ORDER BY w.created_at DESC
    LIMIT 1001
  ) w
)
FROM users u
WHERE u.id = :user
