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
      SELECT v.flyer_id AS id, v.created_at AS sorted_at
      FROM (
        WITH named AS MATERIALIZED (
          SELECT u.user_id AS key
          FROM user_texts u
          WHERE (u.text COLLATE "C") LIKE :pattern
          AND TRUE
        )
        SELECT f.id
        FROM flyer_texts t
        CROSS JOIN LATERAL (
          SELECT *
          FROM flyers f
          WHERE f.id = t.flyer_id
          OFFSET 0
        ) f
        WHERE (t.text COLLATE "C") LIKE :pattern
        AND f.expired = FALSE
        AND (f.valid_from <= :now) IS TRUE
        AND f.valid_until > :now
        AND TRUE
        UNION ALL
        SELECT f.id
        FROM (
          SELECT w.key
          FROM named w
          WHERE TRUE
        ) l
        CROSS JOIN LATERAL (
          SELECT f.id
          FROM (
            SELECT *
            FROM flyers
            WHERE by_index('flyers_creator_feed', id)
          ) f
          WHERE f.creator_id = l.key
          AND f.expired = FALSE
          AND (f.valid_from <= :now) IS TRUE
          AND f.valid_until > :now
          AND NOT coalesce(strpos(
            (
              SELECT t.text
              FROM flyer_texts t
              WHERE t.flyer_id = f.id
            ), :search
          ) > 0, FALSE)
          OFFSET 0
        ) f
      ) g
      CROSS JOIN LATERAL (
        SELECT *
        FROM favorites v
        WHERE v.user_id = :viewer
        AND v.flyer_id = g.id
        LIMIT 1
      ) v
      WHERE TRUE
      AND (v.created_at, v.flyer_id) < (:at, :id)
      ORDER BY v.created_at DESC, v.flyer_id DESC
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
