/* feed_count */
SELECT count(*)
FROM (
  WITH named AS MATERIALIZED (
    SELECT u.user_id AS key
    FROM user_texts u
    WHERE u.text LIKE :pattern
    AND (
      SELECT TRUE
      FROM follows w
      WHERE w.follower_id = :viewer
      AND w.followed_id = u.user_id
      LIMIT 1
    )
  )
  SELECT 1
  FROM flyer_texts t
  CROSS JOIN LATERAL (
    SELECT *
    FROM flyers f
    WHERE f.id = t.flyer_id
    OFFSET 0
  ) f
  WHERE t.text LIKE :pattern
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
  AND TRUE
  UNION ALL
  SELECT 1
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
    AND (
      SELECT TRUE
      FROM follows w
      WHERE w.follower_id = :viewer
      AND w.followed_id = f.creator_id
      LIMIT 1
    )
    AND NOT coalesce(strpos(
      (
        SELECT t.text
        FROM flyer_texts t
        WHERE t.flyer_id = f.id
      ), :search
    ) > 0, FALSE)
    OFFSET 0
  ) f
  LIMIT 1001
) f
