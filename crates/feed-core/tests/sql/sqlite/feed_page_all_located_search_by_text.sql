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
      WITH found AS MATERIALIZED (
        SELECT x.rowid AS place, f.id, f.created_at
        FROM flyer_trigrams x
        CROSS JOIN flyers f NOT INDEXED
        CROSS JOIN flyer_texts t
        WHERE x.flyer_trigrams MATCH :terms
        AND f.id = (x.rowid & 274877906943)
        AND f.expired = FALSE
        AND +f.valid_from <= :now
        AND +f.valid_until > :now
        AND t.flyer_id = f.id
        AND instr(t.text, :search) > 0
        AND x.rowid <= :upto
        AND (f.created_at, f.id) < (:at, :beyond)
        ORDER BY x.rowid DESC
        LIMIT :reach
      ),
      texts AS MATERIALIZED (
        SELECT id, created_at
        FROM found
        UNION ALL
        SELECT f.id, f.created_at
        FROM flyer_texts_to_index i
        CROSS JOIN flyers f NOT INDEXED
        CROSS JOIN flyer_texts t
        WHERE f.id = i.flyer_id
        AND f.expired = FALSE
        AND +f.valid_from <= :now
        AND +f.valid_until > :now
        AND t.flyer_id = f.id
        AND instr(t.text, :search) > 0
        AND f.created_at <= :at
        UNION ALL
        SELECT f.id, f.created_at
        FROM (
          SELECT min(place) AS place
          FROM found
          HAVING count(*) = :reach
        ) b
        CROSS JOIN flyer_trigrams x
        CROSS JOIN flyers f NOT INDEXED
        CROSS JOIN flyer_texts t
        WHERE x.flyer_trigrams MATCH :terms
        AND f.id = (x.rowid & 274877906943)
        AND f.expired = FALSE
        AND +f.valid_from <= :now
        AND +f.valid_until > :now
        AND t.flyer_id = f.id
        AND instr(t.text, :search) > 0
        AND x.rowid < b.place
        AND x.rowid >= (b.place >> 38 << 38)
        AND (f.created_at, f.id) < (:at, :beyond)
        UNION ALL
        SELECT f.id, f.created_at
        FROM flyer_trigrams x
        CROSS JOIN flyers f NOT INDEXED
        CROSS JOIN flyer_texts t
        WHERE x.flyer_trigrams MATCH :terms
        AND f.id = (x.rowid & 274877906943)
        AND f.expired = FALSE
        AND +f.valid_from <= :now
        AND +f.valid_until > :now
        AND t.flyer_id = f.id
        AND instr(t.text, :search) > 0
        AND x.rowid BETWEEN :bucket AND :bucketend
        AND f.created_at = :at
      ),
      named AS MATERIALIZED (
        SELECT u.user_id AS key
        FROM user_trigrams y
        CROSS JOIN user_texts u
        WHERE y.user_trigrams MATCH :terms
        AND u.user_id = y.rowid
        AND instr(u.text, :search) > 0
        AND TRUE
      ),
      counted AS MATERIALIZED (
        SELECT count(*) AS lists
        FROM (
          SELECT w.key
          FROM named w
          WHERE TRUE
        ) w
      ),
      kept AS MATERIALIZED (
        SELECT :reach + 1 + count(*) AS lists
        FROM (
          SELECT 1
          FROM flyers f INDEXED BY flyers_feed
          WHERE f.expired = FALSE
          AND f.created_at = :at
          LIMIT (
            SELECT lists
            FROM counted
          )
        ) f
      ),
      best AS MATERIALIZED (
        SELECT w.key, (
          SELECT f.created_at
          FROM flyers f INDEXED BY flyers_creator_feed
          WHERE f.creator_id = w.key
          AND f.created_at <= :at
          AND f.expired = FALSE
          AND +f.valid_from <= :now
          AND +f.valid_until > :now
          ORDER BY f.created_at DESC, f.id_key DESC
          LIMIT 1
        ) AS head
        FROM (
          SELECT w.key
          FROM named w
          WHERE TRUE
        ) w
        ORDER BY head DESC NULLS LAST
        LIMIT (
          SELECT lists
          FROM kept
        )
      ),
      bound AS MATERIALIZED (
        SELECT CASE WHEN count(head) = (
          SELECT lists
          FROM kept
        ) THEN min(head) ELSE :end END AS created_at
        FROM best
      ),
      lists AS MATERIALIZED (
        SELECT key
        FROM best
        WHERE head IS NOT NULL
        AND NOT coalesce(
          (
            SELECT TRUE
            FROM best
            WHERE head = (
              SELECT created_at
              FROM bound
            )
            LIMIT 1
            OFFSET 1
          ), FALSE
        )
        UNION ALL
        SELECT w.key
        FROM named w
        WHERE (
          SELECT TRUE
          FROM best
          WHERE head = (
            SELECT created_at
            FROM bound
          )
          LIMIT 1
          OFFSET 1
        )
      ),
      edge AS MATERIALIZED (
        SELECT f.created_at
        FROM (
          SELECT id, created_at
          FROM texts
          UNION
          SELECT id, created_at
          FROM (
            SELECT f.id, f.created_at
            FROM (
              SELECT f.id_key AS id, f.created_at
              FROM lists l
              CROSS JOIN flyers f INDEXED BY flyers_creator_feed
              WHERE f.creator_id = l.key
              AND (f.created_at, f.id_key) < (:at, :beyond)
              AND f.created_at >= (
                SELECT created_at
                FROM bound
              )
              AND f.expired = FALSE
              AND +f.valid_from <= :now
              AND +f.valid_until > :now
            ) f
            ORDER BY f.created_at DESC, f.id DESC
            LIMIT :reach
          ) f
        ) f
        WHERE f.created_at < :at
        ORDER BY f.created_at DESC, f.id DESC
        LIMIT 1
        OFFSET :last
      )
      SELECT f.id, f.created_at AS sorted_at, distance_mm(:lat, :lng, f.latitude, f.longitude) AS distance
      FROM (
        SELECT id
        FROM texts
        WHERE created_at >= coalesce(
          (
            SELECT created_at
            FROM edge
          ), :end
        )
        UNION
        SELECT f.id
        FROM lists l
        CROSS JOIN flyers f INDEXED BY flyers_creator_feed
        WHERE f.creator_id = l.key
        AND f.created_at <= :at
        AND f.created_at >= coalesce(
          (
            SELECT created_at
            FROM edge
          ), :end
        )
        AND f.expired = FALSE
        AND +f.valid_from <= :now
        AND +f.valid_until > :now
      ) m
      CROSS JOIN flyers f NOT INDEXED
      WHERE f.id = m.id
    ) f
    WHERE sorted_at <> :at
    OR distance > :distance
    OR (distance = :distance AND id < :id)
    ORDER BY sorted_at DESC, distance ASC, id DESC
    LIMIT :limit
    OFFSET :offset
  ) k
  LIMIT 51
) k
CROSS JOIN flyers f NOT INDEXED
CROSS JOIN users u
WHERE f.id = k.id
AND u.id = f.creator_id
ORDER BY k.sorted_at DESC, k.distance ASC, k.id DESC
