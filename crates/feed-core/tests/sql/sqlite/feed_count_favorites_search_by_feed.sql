/* feed_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM favorites v INDEXED BY favorites_feed
  WHERE v.user_id = :viewer
  AND v.flyer_expired = FALSE
  AND +v.flyer_valid_from <= :now
  AND +v.flyer_valid_until > :now
  AND (
    SELECT (instr(
      (
        SELECT t.text
        FROM flyer_texts t
        WHERE t.flyer_id = f.id
      ), :search
    ) > 0 OR instr(
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
