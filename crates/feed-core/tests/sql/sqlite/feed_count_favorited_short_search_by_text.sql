/* feed_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM (
    WITH short AS MATERIALIZED (
      SELECT DISTINCT doc AS place
      FROM flyer_trigram_places
      WHERE term >= :firstterm
      AND term <= :lastterm
    ),
    named AS MATERIALIZED (
      SELECT u.user_id AS key
      FROM user_texts u
      WHERE instr(u.text, :search) > 0
      AND TRUE
    )
    SELECT f.id
    FROM short x
    CROSS JOIN flyers f NOT INDEXED
    CROSS JOIN flyer_texts t
    WHERE f.id = (x.place & 274877906943)
    AND f.expired = FALSE
    AND +f.valid_from <= :now
    AND +f.valid_until > :now
    AND t.flyer_id = f.id
    AND instr(t.text, :search) > 0
    AND TRUE
    UNION ALL
    SELECT f.id
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
    SELECT f.id
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
  ) g
  CROSS JOIN favorites v
  WHERE v.user_id = :viewer
  AND v.flyer_id = g.id
  AND TRUE
  LIMIT 1001
) f
