/* feed_count */
SELECT count(*)
FROM (
  WITH named AS MATERIALIZED (
    SELECT u.user_id AS key
    FROM user_trigrams y
    CROSS JOIN user_texts u
    WHERE y.user_trigrams MATCH :terms
    AND u.user_id = y.rowid
    AND instr(u.text, :search) > 0
    AND TRUE
  )
  SELECT 1
  FROM flyer_trigrams x
  CROSS JOIN flyers f NOT INDEXED
  CROSS JOIN flyer_texts t
  WHERE x.flyer_trigrams MATCH :terms
  AND f.id = (x.rowid & 274877906943)
  AND f.expired = FALSE
  AND +f.valid_from <= :now
  AND +f.valid_until > :now
  AND t.flyer_id = f.id
  AND instr(t.text, :search) > 0
  AND TRUE
  UNION ALL
  SELECT 1
  FROM (
    SELECT w.key
    FROM named w
    WHERE TRUE
  ) l
  CROSS JOIN flyers f INDEXED BY flyers_creator_feed
  WHERE f.creator_id = l.key
  AND f.expired = FALSE
  AND +f.valid_from <= :now
  AND +f.valid_until > :now
  AND NOT coalesce(instr(
    (
      SELECT t.text
      FROM flyer_texts t
      WHERE t.flyer_id = f.id
    ), :search
  ) > 0, FALSE)
  UNION ALL
  SELECT 1
  FROM flyer_texts_to_index i
  CROSS JOIN flyers f NOT INDEXED
  CROSS JOIN flyer_texts t
  WHERE f.id = i.flyer_id
  AND f.expired = FALSE
  AND +f.valid_from <= :now
  AND +f.valid_until > :now
  AND t.flyer_id = f.id
  AND instr(t.text, :search) > 0
  AND TRUE
  LIMIT 1001
) f
