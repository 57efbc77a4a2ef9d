/* feed_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM (
    SELECT *
    FROM flyers
    WHERE by_index('flyers_feed', id)
  ) f
  WHERE f.expired = FALSE
  AND (f.valid_from <= :now) IS TRUE
  AND f.valid_until > :now
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
  LIMIT 1001
) f
