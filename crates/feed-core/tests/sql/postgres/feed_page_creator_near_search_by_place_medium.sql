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
      WITH counted AS MATERIALIZED (
        SELECT count(*) AS lists
        FROM (
          SELECT w.key
          FROM unnest(CAST(CAST(:cells AS TEXT) AS bigint[])) AS w (key)
        ) w
      ),
      sample AS MATERIALIZED (
        SELECT count(*) AS hits
        FROM (
          SELECT 1
          FROM (
            SELECT f.id, f.created_at, f.creator_id, f.valid_from, f.valid_until, f.categories, f.latitude, f.longitude, FALSE AS expired
            FROM (
              SELECT *
              FROM flyers
              WHERE by_index('flyers_feed', id)
            ) f
            WHERE f.expired = FALSE
            AND (f.created_at, f.id) < (:at, :beyond)
            AND f.created_at > coalesce(
              (
                SELECT f.created_at
                FROM (
                  SELECT *
                  FROM flyers
                  WHERE by_index('flyers_feed', id)
                ) f
                WHERE f.expired = FALSE
                AND f.created_at <= :at
                ORDER BY f.created_at DESC, f.id DESC
                LIMIT 1
                OFFSET (
                  SELECT CASE WHEN lists < 2000 THEN lists ELSE 2000 END / 8
                  FROM counted
                )
              ), :end
            )
            ORDER BY f.created_at DESC, f.id DESC
            OFFSET 0
          ) f
          WHERE f.creator_id = :creator
          AND f.expired = FALSE
          AND (f.valid_from <= :now) IS TRUE
          AND f.valid_until > :now
          AND f.latitude BETWEEN :south AND :north
          AND CAST(floor(2.0 * 6371.0 * asin(sqrt(least(1.0, sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) * sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) + cos(radians((:lat + 360.0) - 360.0)) * cos(radians((f.latitude + 360.0) - 360.0)) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0)))) * 1000000.0 + 0.5) AS bigint) <= :radius
          AND (strpos(
            (
              SELECT t.text
              FROM flyer_texts t
              WHERE t.flyer_id = f.id
            ), :search
          ) > 0 OR strpos(
            (
              SELECT n.text
              FROM user_texts n
              WHERE n.user_id = f.creator_id
            ), :search
          ) > 0)
          ORDER BY f.created_at DESC, f.id DESC
          LIMIT :reach
        ) f
      ),
      looked AS MATERIALIZED (
        SELECT coalesce(
          (
            SELECT f.created_at
            FROM (
              SELECT *
              FROM flyers
              WHERE by_index('flyers_feed', id)
            ) f
            WHERE f.expired = FALSE
            AND f.created_at <= :at
            ORDER BY f.created_at DESC, f.id DESC
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
        FROM (
          SELECT f.id, f.created_at, f.creator_id, f.valid_from, f.valid_until, f.categories, f.latitude, f.longitude, FALSE AS expired
          FROM (
            SELECT *
            FROM flyers
            WHERE by_index('flyers_feed', id)
          ) f
          WHERE f.expired = FALSE
          AND (f.created_at, f.id) < (:at, :beyond)
          AND f.created_at > (
            SELECT created_at
            FROM looked
          )
          ORDER BY f.created_at DESC, f.id DESC
          OFFSET 0
        ) f
        WHERE f.creator_id = :creator
        AND f.expired = FALSE
        AND (f.valid_from <= :now) IS TRUE
        AND f.valid_until > :now
        AND f.latitude BETWEEN :south AND :north
        AND CAST(floor(2.0 * 6371.0 * asin(sqrt(least(1.0, sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) * sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) + cos(radians((:lat + 360.0) - 360.0)) * cos(radians((f.latitude + 360.0) - 360.0)) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0)))) * 1000000.0 + 0.5) AS bigint) <= :radius
        AND (strpos(
          (
            SELECT t.text
            FROM flyer_texts t
            WHERE t.flyer_id = f.id
          ), :search
        ) > 0 OR strpos(
          (
            SELECT n.text
            FROM user_texts n
            WHERE n.user_id = f.creator_id
          ), :search
        ) > 0)
        ORDER BY f.created_at DESC, f.id DESC
        LIMIT :reach
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
            WHERE by_index('flyers_medium_cell_feed', id)
          ) f
          WHERE (CAST(floor((f.latitude + 90) * 16) AS bigint) * 32768 + CAST(floor((f.longitude + 180) * 16) AS bigint)) = w.key
          AND f.created_at <= :at
          AND f.creator_id = :creator
          AND f.expired = FALSE
          AND (f.valid_from <= :now) IS TRUE
          AND f.valid_until > :now
          AND f.latitude BETWEEN :south AND :north
          AND CAST(floor(2.0 * 6371.0 * asin(sqrt(least(1.0, sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) * sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) + cos(radians((:lat + 360.0) - 360.0)) * cos(radians((f.latitude + 360.0) - 360.0)) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0)))) * 1000000.0 + 0.5) AS bigint) <= :radius
          AND (strpos(
            (
              SELECT t.text
              FROM flyer_texts t
              WHERE t.flyer_id = f.id
            ), :search
          ) > 0 OR strpos(
            (
              SELECT n.text
              FROM user_texts n
              WHERE n.user_id = f.creator_id
            ), :search
          ) > 0)
          ORDER BY f.created_at DESC, f.id DESC
          LIMIT 1
        ) AS head
        FROM (
          SELECT w.key
          FROM unnest(CAST(
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
            ) AS bigint[]
          )) AS w (key)
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
        FROM unnest(CAST(
          (
            SELECT CAST(:cells AS TEXT)
            FROM best
            WHERE head = (
              SELECT created_at
              FROM bound
            )
            LIMIT 1
            OFFSET 1
          ) AS bigint[]
        )) AS w (key)
      ),
      edge AS MATERIALIZED (
        SELECT f.id, f.created_at
        FROM (
          SELECT id, created_at
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
            UNION ALL (
              SELECT f.id, f.created_at
              FROM lists l
              CROSS JOIN LATERAL (
                SELECT f.created_at, f.id
                FROM (
                  SELECT *
                  FROM flyers
                  WHERE by_index('flyers_medium_cell_feed', id)
                ) f
                WHERE (CAST(floor((f.latitude + 90) * 16) AS bigint) * 32768 + CAST(floor((f.longitude + 180) * 16) AS bigint)) = l.key
                AND f.created_at < :at
                AND f.created_at >= (
                  SELECT created_at
                  FROM bound
                )
                AND f.creator_id = :creator
                AND f.expired = FALSE
                AND (f.valid_from <= :now) IS TRUE
                AND f.valid_until > :now
                AND f.latitude BETWEEN :south AND :north
                AND CAST(floor(2.0 * 6371.0 * asin(sqrt(least(1.0, sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) * sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) + cos(radians((:lat + 360.0) - 360.0)) * cos(radians((f.latitude + 360.0) - 360.0)) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0)))) * 1000000.0 + 0.5) AS bigint) <= :radius
                AND (strpos(
                  (
                    SELECT t.text
                    FROM flyer_texts t
                    WHERE t.flyer_id = f.id
                  ), :search
                ) > 0 OR strpos(
                  (
                    SELECT n.text
                    FROM user_texts n
                    WHERE n.user_id = f.creator_id
                  ), :search
                ) > 0)
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
        LIMIT 1
        OFFSET :last
      )
      SELECT f.id, f.created_at AS sorted_at, CAST(floor(2.0 * 6371.0 * asin(sqrt(least(1.0, sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) * sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) + cos(radians((:lat + 360.0) - 360.0)) * cos(radians((f.latitude + 360.0) - 360.0)) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0)))) * 1000000.0 + 0.5) AS bigint) AS distance
      FROM (
        SELECT f.id, f.created_at, f.creator_id, f.valid_from, f.valid_until, f.categories, f.latitude, f.longitude, FALSE AS expired
        FROM (
          SELECT *
          FROM flyers
          WHERE by_index('flyers_feed', id)
        ) f
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
        ORDER BY f.created_at DESC, f.id DESC
        OFFSET 0
      ) f
      WHERE f.creator_id = :creator
      AND f.expired = FALSE
      AND (f.valid_from <= :now) IS TRUE
      AND f.valid_until > :now
      AND f.latitude BETWEEN :south AND :north
      AND CAST(floor(2.0 * 6371.0 * asin(sqrt(least(1.0, sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) * sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) + cos(radians((:lat + 360.0) - 360.0)) * cos(radians((f.latitude + 360.0) - 360.0)) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0)))) * 1000000.0 + 0.5) AS bigint) <= :radius
      AND (strpos(
        (
          SELECT t.text
          FROM flyer_texts t
          WHERE t.flyer_id = f.id
        ), :search
      ) > 0 OR strpos(
        (
          SELECT n.text
          FROM user_texts n
          WHERE n.user_id = f.creator_id
        ), :search
      ) > 0)
      UNION ALL
      SELECT f.*
      FROM lists l
      CROSS JOIN LATERAL (
        SELECT f.id, f.created_at AS sorted_at, CAST(floor(2.0 * 6371.0 * asin(sqrt(least(1.0, sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) * sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) + cos(radians((:lat + 360.0) - 360.0)) * cos(radians((f.latitude + 360.0) - 360.0)) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0)))) * 1000000.0 + 0.5) AS bigint) AS distance
        FROM (
          SELECT *
          FROM flyers
          WHERE by_index('flyers_medium_cell_feed', id)
        ) f
        WHERE (CAST(floor((f.latitude + 90) * 16) AS bigint) * 32768 + CAST(floor((f.longitude + 180) * 16) AS bigint)) = l.key
        AND f.created_at <= :at
        AND f.created_at >= coalesce(
          (
            SELECT created_at
            FROM edge
          ), :end
        )
        AND f.creator_id = :creator
        AND f.expired = FALSE
        AND (f.valid_from <= :now) IS TRUE
        AND f.valid_until > :now
        AND f.latitude BETWEEN :south AND :north
        AND CAST(floor(2.0 * 6371.0 * asin(sqrt(least(1.0, sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) * sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) + cos(radians((:lat + 360.0) - 360.0)) * cos(radians((f.latitude + 360.0) - 360.0)) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0)))) * 1000000.0 + 0.5) AS bigint) <= :radius
        AND (strpos(
          (
            SELECT t.text
            FROM flyer_texts t
            WHERE t.flyer_id = f.id
          ), :search
        ) > 0 OR strpos(
          (
            SELECT n.text
            FROM user_texts n
            WHERE n.user_id = f.creator_id
          ), :search
        ) > 0)
        OFFSET 0
      ) f
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
