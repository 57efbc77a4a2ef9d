/* feed_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM (
    SELECT *
    FROM favorites
    WHERE by_index('favorites_recent_feed', user_id)
  ) v
  WHERE v.user_id = :viewer
  AND v.flyer_expired = FALSE
  AND (v.flyer_valid_from <= :now) IS TRUE
  AND v.flyer_valid_until > :now
  LIMIT 1001
) f
