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
      WITH sliced AS MATERIALIZED (
        SELECT f.id, f.created_at
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
        AND (
          SELECT TRUE
          FROM follows w
          WHERE w.follower_id = :viewer
          AND w.followed_id = f.creator_id
          LIMIT 1
        )
        AND (CAST(extract(epoch FROM t.created_at) AS bigint) / 524288) IN (:slice, :nextslice)
        AND (t.created_at, t.flyer_id) < (:at, :id)
      ),
      enough AS MATERIALIZED (
        SELECT (
          SELECT count(*)
          FROM sliced
          WHERE (created_at, id) < (:at, :id)
        ) >= :reach
        AND NOT coalesce(
          (
            SELECT TRUE
            FROM (
              SELECT *
              FROM flyers
              WHERE by_index('flyers_feed', id)
            ) f
            WHERE f.expired = FALSE
            AND f.created_at >= :sliceend
            AND f.created_at <= :at
            ORDER BY f.created_at DESC, f.id DESC
            LIMIT 1
          ), FALSE
        ) AS is_so
      ),
      texts AS MATERIALIZED (
        SELECT id, created_at
        FROM sliced
        WHERE (
          SELECT is_so
          FROM enough
        )
        UNION ALL
        SELECT f.id, f.created_at
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
        AND (
          SELECT TRUE
          FROM follows w
          WHERE w.follower_id = :viewer
          AND w.followed_id = f.creator_id
          LIMIT 1
        )
        AND (t.created_at, t.flyer_id) < (:at, :id)
        AND NOT (
          SELECT is_so
          FROM enough
        )
      ),
      named AS MATERIALIZED (
        SELECT u.user_id AS key
        FROM user_texts u
        WHERE (u.text COLLATE "C") LIKE :pattern
        AND (
          SELECT TRUE
          FROM follows w
          WHERE w.follower_id = :viewer
          AND w.followed_id = u.user_id
          LIMIT 1
        )
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
          FROM (
            SELECT *
            FROM flyers
            WHERE by_index('flyers_feed', id)
          ) f
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
          FROM (
            SELECT *
            FROM flyers
            WHERE by_index('flyers_creator_feed', id)
          ) f
          WHERE f.creator_id = w.key
          AND f.created_at <= :at
          AND f.expired = FALSE
          AND (f.valid_from <= :now) IS TRUE
          AND f.valid_until > :now
          AND (
            SELECT TRUE
            FROM follows w
            WHERE w.follower_id = :viewer
            AND w.followed_id = f.creator_id
            LIMIT 1
          )
          ORDER BY f.created_at DESC, f.id DESC
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
      )
      SELECT f.id, f.created_at AS sorted_at
      FROM (
        SELECT DISTINCT ON (created_at, id) id, created_at
        FROM (
          SELECT id, created_at
          FROM texts
          UNION ALL
          SELECT id, created_at
          FROM (
            SELECT f.id, f.created_at
            FROM (
              SELECT id, created_at
              FROM (
                (
                  SELECT f.id, f.created_at
                  FROM lists l
                  CROSS JOIN LATERAL (
                    SELECT f.created_at, f.id
                    FROM (
                      SELECT *
                      FROM flyers
                      WHERE by_index('flyers_creator_feed', id)
                    ) f
                    WHERE f.creator_id = l.key
                    AND (f.created_at, f.id) < (:at, :id)
                    AND f.created_at >= (
                      SELECT created_at
                      FROM bound
                    )
                    AND f.expired = FALSE
                    AND (f.valid_from <= :now) IS TRUE
                    AND f.valid_until > :now
                    AND (
                      SELECT TRUE
                      FROM follows w
                      WHERE w.follower_id = :viewer
                      AND w.followed_id = f.creator_id
                      LIMIT 1
                    )
                    ORDER BY f.created_at DESC, f.id DESC
                    LIMIT :reach
                  ) f
                  ORDER BY f.created_at DESC, f.id DESC
                  LIMIT :reach
                )
              ) f
              OFFSET 0
            ) f
            ORDER BY f.created_at DESC, f.id DESC
            LIMIT :reach
          ) f
        ) f
        ORDER BY created_at DESC, id DESC
      ) f
      ORDER BY f.created_at DESC, f.id DESC
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
