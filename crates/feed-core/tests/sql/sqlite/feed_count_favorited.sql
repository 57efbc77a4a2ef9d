/* feed_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM favorites v INDEXED BY favorites_recent_feed
  WHERE v.user_id = :viewer
  AND v.flyer_expired = FALSE
  AND +v.flyer_valid_from <= :now
  AND +v.flyer_valid_until > :now
  LIMIT 1001
) f
