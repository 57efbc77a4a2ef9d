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
