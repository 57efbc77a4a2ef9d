/* feed_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM flyers f INDEXED BY flyers_feed
  WHERE f.expired = FALSE
  AND +f.valid_from <= :now
  AND +f.valid_until > :now
  AND (instr(
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
  LIMIT 1001
) f
