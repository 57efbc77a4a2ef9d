/* feed_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM flyers f INDEXED BY flyers_feed
  WHERE f.expired = FALSE
  AND +f.valid_from <= :now
  AND +f.valid_until > :now
  LIMIT 1001
) f
