/* feed_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM (
    SELECT *
    FROM flyers f
    WHERE f.creator_id = seek(:creator)
    AND f.expired = FALSE
    UNION ALL
    SELECT *
    FROM flyers f
    WHERE f.creator_id = seek(:creator)
    AND f.expired = TRUE
  ) f
  WHERE TRUE
  LIMIT 1001
) f
