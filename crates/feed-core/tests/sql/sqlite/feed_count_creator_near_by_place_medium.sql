/* feed_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM (
    SELECT w.value AS key
    FROM json_each(CAST(:cells AS TEXT)) w
  ) l
  CROSS JOIN flyers f INDEXED BY flyers_medium_cell_feed
  WHERE f.medium_cell = l.key
  AND f.creator_id = :creator
  AND f.expired = FALSE
  AND +f.valid_from <= :now
  AND +f.valid_until > :now
  AND f.latitude BETWEEN :south AND :north
  AND distance_mm(:lat, :lng, f.latitude, f.longitude) <= :radius
  LIMIT 1001
) f
