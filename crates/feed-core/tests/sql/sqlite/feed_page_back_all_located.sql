/* feed_page */
SELECT f.id, f.title, f.description, f.location_address, f.latitude, f.longitude, f.categories, f.valid_from, f.valid_until, f.created_at, u.id, u.username, u.profile_picture_url, coalesce(
  (
    SELECT TRUE
    FROM favorites v
    WHERE v.user_id = :viewer
    AND v.flyer_id = f.id
  ), FALSE
), coalesce(
  (
    SELECT TRUE
    FROM follows w
    WHERE w.follower_id = :viewer
    AND w.followed_id = u.id
  ), FALSE
), k.distance, k.sorted_at, (
  SELECT group_concat(url, ' ')
  FROM (
    SELECT i.url
    FROM flyer_images i
    WHERE i.flyer_id = f.id
    ORDER BY i.position
  )
)
FROM (
  SELECT *
  FROM (
    SELECT id, sorted_at, distance
    FROM (
      WITH walked AS MATERIALIZED (
        SELECT f.id_key AS id, f.created_at AS sorted_at
        FROM flyers f INDEXED BY flyers_feed
        WHERE f.expired = FALSE
        AND +f.valid_from <= :now
        AND +f.valid_until > :now
        AND (f.created_at, f.id_key) > (:at, :beyond)
        ORDER BY f.created_at ASC, f.id_key ASC
        LIMIT :reach
      ),
      edge AS MATERIALIZED (
        SELECT CASE WHEN count(*) = :reach THEN max(sorted_at) END AS at
        FROM walked
      )
      SELECT f.id, k.sorted_at, distance_mm(:lat, :lng, f.latitude, f.longitude) AS distance
      FROM (
        SELECT id, sorted_at
        FROM walked
        WHERE sorted_at <> coalesce(
          (
            SELECT at
            FROM edge
          ), :end
        )
        UNION ALL
        SELECT f.id_key AS id, f.created_at AS sorted_at
        FROM flyers f INDEXED BY flyers_feed
        WHERE f.expired = FALSE
        AND +f.valid_from <= :now
        AND +f.valid_until > :now
        AND f.created_at = :at
        UNION ALL
        SELECT f.id_key AS id, f.created_at AS sorted_at
        FROM flyers f INDEXED BY flyers_feed
        WHERE f.expired = FALSE
        AND +f.valid_from <= :now
        AND +f.valid_until > :now
        AND f.created_at = (
          SELECT at
          FROM edge
        )
      ) k
      CROSS JOIN flyers f NOT INDEXED
      WHERE f.id = k.id
    ) f
    WHERE sorted_at <> :at
    OR distance < :distance
    OR (distance = :distance AND id > :id)
    ORDER BY sorted_at ASC, distance DESC, id ASC
    LIMIT :limit
    OFFSET :offset
  ) k
  LIMIT 51
) k
CROSS JOIN flyers f NOT INDEXED
CROSS JOIN users u
WHERE f.id = k.id
AND u.id = f.creator_id
ORDER BY k.sorted_at ASC, k.distance DESC, k.id ASC
