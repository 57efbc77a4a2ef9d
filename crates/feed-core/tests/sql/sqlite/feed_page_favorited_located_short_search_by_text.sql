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
), distance_mm(:lat, :lng, f.latitude, f.longitude), k.sorted_at, (
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
    SELECT id, sorted_at, 0 AS distance
    FROM (
      SELECT v.flyer_id AS id, v.created_at AS sorted_at
      FROM (
        WITH short AS MATERIALIZED (
          SELECT DISTINCT doc AS place
          FROM flyer_trigram_places
          WHERE term >= :firstterm
          AND term <= :lastterm
        ),
        named AS MATERIALIZED (
          SELECT u.user_id AS key
          FROM user_texts u
          WHERE instr(u.text, :search) > 0
          AND TRUE
        )
        SELECT f.id
        FROM short x
        CROSS JOIN flyers f NOT INDEXED
        CROSS JOIN flyer_texts t
        WHERE f.id = (x.place & 274877906943)
        AND f.expired = FALSE
        AND +f.valid_from <= :now
        AND +f.valid_until > :now
        AND t.flyer_id = f.id
        AND instr(t.text, :search) > 0
        AND TRUE
        UNION ALL
        SELECT f.id
        FROM (
          SELECT w.key
          FROM named w
          WHERE TRUE
        ) l
        CROSS JOIN flyers f INDEXED BY flyers_creator_feed
        WHERE f.creator_id = l.key
        AND f.expired = FALSE
        AND +f.valid_from <= :now
        AND +f.valid_until > :now
        AND NOT coalesce(instr(
          (
            SELECT t.text
            FROM flyer_texts t
            WHERE t.flyer_id = f.id
          ), :search
        ) > 0, FALSE)
        UNION ALL
        SELECT f.id
        FROM flyer_texts_to_index i
        CROSS JOIN flyers f NOT INDEXED
        CROSS JOIN flyer_texts t
        WHERE f.id = i.flyer_id
        AND f.expired = FALSE
        AND +f.valid_from <= :now
        AND +f.valid_until > :now
        AND t.flyer_id = f.id
        AND instr(t.text, :search) > 0
        AND TRUE
      ) g
      CROSS JOIN favorites v
      WHERE v.user_id = :viewer
      AND v.flyer_id = g.id
      AND TRUE
      AND (v.created_at, v.flyer_id) < (:at, :id)
      ORDER BY v.created_at DESC, v.flyer_id DESC
      LIMIT :limit
      OFFSET :offset
    ) k
  ) k
  LIMIT 51
) k
CROSS JOIN flyers f NOT INDEXED
CROSS JOIN users u
WHERE f.id = k.id
AND u.id = f.creator_id
ORDER BY k.sorted_at DESC, k.distance ASC, k.id DESC
