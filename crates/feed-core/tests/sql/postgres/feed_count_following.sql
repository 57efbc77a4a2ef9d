/* feed_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM (
    SELECT w.followed_id AS key
    FROM follows w
    WHERE w.follower_id = :viewer
  ) l
  CROSS JOIN LATERAL (
    SELECT f.id
    FROM flyers f
    WHERE f.creator_id = l.key
    AND f.expired = FALSE
    AND (f.valid_from <= :now) IS TRUE
    AND f.valid_until > :now
    OFFSET 0
  ) f
  LIMIT 1001
) f
