/* feed_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM (
    SELECT *
    FROM flyers
    WHERE by_index('flyers_creator_feed', id)
  ) f
  WHERE f.creator_id = :creator
  AND f.expired = FALSE
  AND (f.valid_from <= :now) IS TRUE
  AND f.valid_until > :now
  LIMIT 1001
) f
