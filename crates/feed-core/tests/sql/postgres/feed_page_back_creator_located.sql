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
), k.distance, k.sorted_at, array_to_string(ARRAY(
  SELECT i.url
  FROM flyer_images i
  WHERE i.flyer_id = seek(f.id)
  ORDER BY i.position
), ' ')
FROM (
  SELECT *
  FROM (
    SELECT id, sorted_at, distance
    FROM (
      WITH walked AS MATERIALIZED (
        SELECT f.id AS id, f.created_at AS sorted_at
        FROM (
          SELECT *
          FROM flyers
          WHERE by_index('flyers_creator_feed', id)
        ) f
        WHERE f.creator_id = :creator
        AND f.expired = FALSE
        AND (f.valid_from <= :now) IS TRUE
        AND f.valid_until > :now
        AND (f.created_at, f.id) > (:at, :beyond)
        ORDER BY f.created_at ASC, f.id ASC
        LIMIT :reach
      ),
      edge AS MATERIALIZED (
        SELECT CASE WHEN count(*) = :reach THEN max(sorted_at) END AS at
        FROM walked
      )
      SELECT f.id, k.sorted_at, CAST(floor(2.0 * 6371.0 * asin(sqrt(least(1.0, sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) * sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) + cos(radians((:lat + 360.0) - 360.0)) * cos(radians((f.latitude + 360.0) - 360.0)) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0)))) * 1000000.0 + 0.5) AS bigint) AS distance
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
        SELECT f.id AS id, f.created_at AS sorted_at
        FROM (
          SELECT *
          FROM flyers
          WHERE by_index('flyers_creator_feed', id)
        ) f
        WHERE f.creator_id = :creator
        AND f.expired = FALSE
        AND (f.valid_from <= :now) IS TRUE
        AND f.valid_until > :now
        AND f.created_at = :at
        UNION ALL
        SELECT f.id AS id, f.created_at AS sorted_at
        FROM (
          SELECT *
          FROM flyers
          WHERE by_index('flyers_creator_feed', id)
        ) f
        WHERE f.creator_id = :creator
        AND f.expired = FALSE
        AND (f.valid_from <= :now) IS TRUE
        AND f.valid_until > :now
        AND f.created_at = (
          SELECT at
          FROM edge
        )
      ) k
      CROSS JOIN LATERAL (
        SELECT *
        FROM flyers f
        WHERE f.id = k.id
        OFFSET 0
      ) f
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
ORDER BY k.sorted_at ASC, k.distance DESC, k.id ASC
