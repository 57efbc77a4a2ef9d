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
      WITH counted AS MATERIALIZED (
        SELECT count(*) AS lists
        FROM (
          SELECT w.value AS key
          FROM json_each(CAST(:cells AS TEXT)) w
        ) w
      ),
      sample AS MATERIALIZED (
        SELECT count(*) AS hits
        FROM (
          SELECT 1
          FROM flyers f INDEXED BY flyers_feed
          WHERE f.expired = FALSE
          AND (f.created_at, f.id_key) < (:at, :beyond)
          AND f.created_at > coalesce(
            (
              SELECT f.created_at
              FROM flyers f INDEXED BY flyers_feed
              WHERE f.expired = FALSE
              AND f.created_at <= :at
              ORDER BY f.created_at DESC, f.id_key DESC
              LIMIT 1
              OFFSET (
                SELECT CASE WHEN lists < 2000 THEN lists ELSE 2000 END / 8
                FROM counted
              )
            ), :end
          )
          AND f.expired = FALSE
          AND +f.valid_from <= :now
          AND +f.valid_until > :now
          AND f.latitude BETWEEN :south AND :north
          AND distance_mm(:lat, :lng, f.latitude, f.longitude) <= :radius
          AND (instr(
            (
              SELECT t.text
              FROM flyer_texts t
              WHERE t.flyer_id = f.id
            ), :search
          ) > 0 OR instr(
            (
              SELECT n.text
              FROM user_texts n
              WHERE n.user_id = f.creator_id
            ), :search
          ) > 0)
          AND (
            SELECT TRUE
            FROM follows w
            WHERE w.follower_id = :viewer
            AND w.followed_id = f.creator_id
          )
          ORDER BY f.created_at DESC, f.id_key DESC
          LIMIT :reach
        ) f
      ),
      looked AS MATERIALIZED (
        SELECT coalesce(
          (
            SELECT f.created_at
            FROM flyers f INDEXED BY flyers_feed
            WHERE f.expired = FALSE
            AND f.created_at <= :at
            ORDER BY f.created_at DESC, f.id_key DESC
            LIMIT 1
            OFFSET (
              SELECT CASE WHEN 8 * hits >= :reach THEN CASE WHEN lists < 2000 THEN lists ELSE 2000 END ELSE 0 END
              FROM counted, sample
            )
          ), :end
        ) AS created_at
      ),
      recent AS MATERIALIZED (
        SELECT f.id, f.created_at
        FROM flyers f INDEXED BY flyers_feed
        WHERE f.expired = FALSE
        AND (f.created_at, f.id_key) < (:at, :beyond)
        AND f.created_at > (
          SELECT created_at
          FROM looked
        )
        AND f.expired = FALSE
        AND +f.valid_from <= :now
        AND +f.valid_until > :now
        AND f.latitude BETWEEN :south AND :north
        AND distance_mm(:lat, :lng, f.latitude, f.longitude) <= :radius
        AND (instr(
          (
            SELECT t.text
            FROM flyer_texts t
            WHERE t.flyer_id = f.id
          ), :search
        ) > 0 OR instr(
          (
            SELECT n.text
            FROM user_texts n
            WHERE n.user_id = f.creator_id
          ), :search
        ) > 0)
        AND (
          SELECT TRUE
          FROM follows w
          WHERE w.follower_id = :viewer
          AND w.followed_id = f.creator_id
        )
        ORDER BY f.created_at DESC, f.id_key DESC
        LIMIT :reach
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
          FROM flyers f INDEXED BY flyers_medium_cell_feed
          WHERE f.medium_cell = w.key
          AND f.created_at <= :at
          AND f.expired = FALSE
          AND +f.valid_from <= :now
          AND +f.valid_until > :now
          AND f.latitude BETWEEN :south AND :north
          AND distance_mm(:lat, :lng, f.latitude, f.longitude) <= :radius
          AND (instr(
            (
              SELECT t.text
              FROM flyer_texts t
              WHERE t.flyer_id = f.id
            ), :search
          ) > 0 OR instr(
            (
              SELECT n.text
              FROM user_texts n
              WHERE n.user_id = f.creator_id
            ), :search
          ) > 0)
          AND (
            SELECT TRUE
            FROM follows w
            WHERE w.follower_id = :viewer
            AND w.followed_id = f.creator_id
          )
          ORDER BY f.created_at DESC, f.id_key DESC
          LIMIT 1
        ) AS head
        FROM (
          SELECT w.value AS key
          FROM json_each(
            (
              SELECT CAST(:cells AS TEXT)
              WHERE NOT (
                (
                  SELECT count(*)
                  FROM recent
                ) = :reach
                OR (
                  SELECT created_at
                  FROM looked
                ) = :end
              )
            )
          ) w
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
        SELECT w.value AS key
        FROM json_each(
          (
            SELECT CAST(:cells AS TEXT)
            FROM best
            WHERE head = (
              SELECT created_at
              FROM bound
            )
            LIMIT 1
            OFFSET 1
          )
        ) w
      ),
      edge AS MATERIALIZED (
        SELECT f.id, f.created_at
        FROM (
          SELECT id, created_at
          FROM recent
          WHERE (
            (
              SELECT count(*)
              FROM recent
            ) = :reach
            OR (
              SELECT created_at
              FROM looked
            ) = :end
          )
          UNION ALL
          SELECT f.id_key AS id, f.created_at
          FROM lists l
          CROSS JOIN flyers f INDEXED BY flyers_medium_cell_feed
          WHERE f.medium_cell = l.key
          AND f.created_at < :at
          AND f.created_at >= (
            SELECT created_at
            FROM bound
          )
          AND f.expired = FALSE
          AND +f.valid_from <= :now
          AND +f.valid_until > :now
          AND f.latitude BETWEEN :south AND :north
          AND distance_mm(:lat, :lng, f.latitude, f.longitude) <= :radius
          AND (instr(
            (
              SELECT t.text
              FROM flyer_texts t
              WHERE t.flyer_id = f.id
            ), :search
          ) > 0 OR instr(
            (
              SELECT n.text
              FROM user_texts n
              WHERE n.user_id = f.creator_id
            ), :search
          ) > 0)
          AND (
            SELECT TRUE
            FROM follows w
            WHERE w.follower_id = :viewer
            AND w.followed_id = f.creator_id
          )
        ) f
        ORDER BY f.created_at DESC, f.id DESC
        LIMIT 1
        OFFSET :last
      )
      SELECT f.id, f.created_at AS sorted_at, distance_mm(:lat, :lng, f.latitude, f.longitude) AS distance
      FROM flyers f INDEXED BY flyers_feed
      WHERE f.expired = FALSE
      AND f.created_at <= :at
      AND f.created_at >= (
        SELECT coalesce(
          (
            SELECT created_at
            FROM edge
          ), :end
        )
        WHERE (
          (
            SELECT count(*)
            FROM recent
          ) = :reach
          OR (
            SELECT created_at
            FROM looked
          ) = :end
        )
      )
      AND f.expired = FALSE
      AND +f.valid_from <= :now
      AND +f.valid_until > :now
      AND f.latitude BETWEEN :south AND :north
      AND distance_mm(:lat, :lng, f.latitude, f.longitude) <= :radius
      AND (instr(
        (
          SELECT t.text
          FROM flyer_texts t
          WHERE t.flyer_id = f.id
        ), :search
      ) > 0 OR instr(
        (
          SELECT n.text
          FROM user_texts n
          WHERE n.user_id = f.creator_id
        ), :search
      ) > 0)
      AND (
        SELECT TRUE
        FROM follows w
        WHERE w.follower_id = :viewer
        AND w.followed_id = f.creator_id
      )
      UNION ALL
      SELECT f.id, f.created_at AS sorted_at, distance_mm(:lat, :lng, f.latitude, f.longitude) AS distance
      FROM lists l
      CROSS JOIN flyers f INDEXED BY flyers_medium_cell_feed
      WHERE f.medium_cell = l.key
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
      AND f.latitude BETWEEN :south AND :north
      AND distance_mm(:lat, :lng, f.latitude, f.longitude) <= :radius
      AND (instr(
        (
          SELECT t.text
          FROM flyer_texts t
          WHERE t.flyer_id = f.id
        ), :search
      ) > 0 OR instr(
        (
          SELECT n.text
          FROM user_texts n
          WHERE n.user_id = f.creator_id
        ), :search
      ) > 0)
      AND (
        SELECT TRUE
        FROM follows w
        WHERE w.follower_id = :viewer
        AND w.followed_id = f.creator_id
      )
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
