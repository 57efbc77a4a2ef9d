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
), CAST(NULL AS bigint), k.sorted_at, (
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
      WITH short AS MATERIALIZED (
        SELECT DISTINCT doc AS place
        FROM flyer_trigram_places
        WHERE term >= :firstterm
        AND term <= :lastterm
      ),
      found AS MATERIALIZED (
        SELECT x.place AS place, f.id, f.created_at
        FROM short x
        CROSS JOIN flyers f NOT INDEXED
        CROSS JOIN flyer_texts t
        WHERE f.id = (x.place & 274877906943)
        AND f.expired = FALSE
        AND +f.valid_from <= :now
        AND +f.valid_until > :now
        AND (
          SELECT TRUE
          FROM follows w
          WHERE w.follower_id = :viewer
          AND w.followed_id = f.creator_id
        )
        AND t.flyer_id = f.id
        AND instr(t.text, :search) > 0
        AND x.place <= :upto
        AND (f.created_at, f.id) < (:at, :id)
        ORDER BY x.place DESC
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
        AND (
          SELECT TRUE
          FROM follows w
          WHERE w.follower_id = :viewer
          AND w.followed_id = f.creator_id
        )
        AND t.flyer_id = f.id
        AND instr(t.text, :search) > 0
        AND (f.created_at, f.id) < (:at, :id)
        UNION ALL
        SELECT f.id, f.created_at
        FROM (
          SELECT min(place) AS place
          FROM found
          HAVING count(*) = :reach
        ) b
        CROSS JOIN short x
        CROSS JOIN flyers f NOT INDEXED
        CROSS JOIN flyer_texts t
        WHERE f.id = (x.place & 274877906943)
        AND f.expired = FALSE
        AND +f.valid_from <= :now
        AND +f.valid_until > :now
        AND (
          SELECT TRUE
          FROM follows w
          WHERE w.follower_id = :viewer
          AND w.followed_id = f.creator_id
        )
        AND t.flyer_id = f.id
        AND instr(t.text, :search) > 0
        AND x.place < b.place
        AND x.place >= (b.place >> 38 << 38)
        AND (f.created_at, f.id) < (:at, :id)
      ),
      named AS MATERIALIZED (
        SELECT u.user_id AS key
        FROM user_texts u
        WHERE instr(u.text, :search) > 0
        AND (
          SELECT TRUE
          FROM follows w
          WHERE w.follower_id = :viewer
          AND w.followed_id = u.user_id
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
            AND (f.created_at, f.id_key) < (:at, :id)
            AND f.created_at >= (
              SELECT created_at
              FROM bound
            )
            AND f.expired = FALSE
            AND +f.valid_from <= :now
            AND +f.valid_until > :now
            AND (
              SELECT TRUE
              FROM follows w
              WHERE w.follower_id = :viewer
              AND w.followed_id = f.creator_id
            )
          ) f
          ORDER BY f.created_at DESC, f.id DESC
          LIMIT :reach
        ) f
      ) f
      ORDER BY f.created_at DESC, f.id DESC
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
