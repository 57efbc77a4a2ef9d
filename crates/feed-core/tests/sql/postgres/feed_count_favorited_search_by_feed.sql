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
  AND (
    SELECT (strpos(
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
    FROM flyers f
    WHERE f.id = v.flyer_id
  )
  LIMIT 1001
) f
