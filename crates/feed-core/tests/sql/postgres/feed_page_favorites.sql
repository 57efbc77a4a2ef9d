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
      SELECT v.flyer_id AS id, v.flyer_created_at AS sorted_at
      FROM (
        SELECT *
        FROM favorites
        WHERE by_index('favorites_feed', user_id)
      ) v
      WHERE v.user_id = :viewer
      AND v.flyer_expired = FALSE
      AND (v.flyer_valid_from <= :now) IS TRUE
      AND v.flyer_valid_until > :now
      AND (v.flyer_created_at, v.flyer_id) < (:at, :id)
      ORDER BY v.flyer_created_at DESC, v.flyer_id DESC
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
