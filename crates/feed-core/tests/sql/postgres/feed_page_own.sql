/* feed_page */
SELECT f.id, f.title, f.description, f.location_address, f.latitude, f.longitude, f.categories, f.valid_from, f.valid_until, f.created_at, u.id, u.username, u.profile_picture_url, coalesce(
  (
    SELECT TRUE
    FROM favorites v
    WHERE v.user_id = :viewer
    AND v.flyer_id = f.id
    LIMIT 1
  ), FALSE
), coalesce(
  (
    SELECT TRUE
    FROM follows w
    WHERE w.follower_id = :viewer
    AND w.followed_id = u.id
    LIMIT 1
  ), FALSE
), CAST(NULL AS bigint), k.sorted_at, array_to_string(ARRAY(
  SELECT i.url
  FROM flyer_images i
  WHERE i.flyer_id = seek(f.id)
  ORDER BY i.position
), ' ')
FROM (
  SELECT *
  FROM (
    SELECT id, sorted_at, 0 AS distance
    FROM (
      SELECT id, sorted_at
      FROM (
        SELECT id, sorted_at
        FROM (
          (
            SELECT f.id AS id, f.created_at AS sorted_at
            FROM flyers f
            WHERE f.creator_id = seek(:creator)
            AND f.expired = FALSE
            AND TRUE
            AND (f.created_at, f.id) < (:at, :id)
            ORDER BY f.created_at DESC, f.id DESC
            LIMIT :reach
          )
          UNION ALL (
            SELECT f.id AS id, f.created_at AS sorted_at
            FROM flyers f
            WHERE f.creator_id = seek(:creator)
            AND f.expired = TRUE
            AND TRUE
            AND (f.created_at, f.id) < (:at, :id)
            ORDER BY f.created_at DESC, f.id DESC
            LIMIT :reach
          )
        ) f
        OFFSET 0
      ) f
      ORDER BY sorted_at DESC, id DESC
      LIMIT :limit
      OFFSET :offset
    ) k
  ) k
  LIMIT 51
) k
CROSS JOIN LATERAL (
  SELECT *
  FROM flyers f
  WHERE f.id = k.id
  OFFSET 0
) f
CROSS JOIN LATERAL (
  SELECT *
  FROM users u
  WHERE u.id = f.creator_id
  OFFSET 0
) u
ORDER BY k.sorted_at DESC, k.distance ASC, k.id DESC
