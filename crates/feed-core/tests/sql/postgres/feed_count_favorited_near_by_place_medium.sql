/* feed_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM (
    SELECT f.id
    FROM (
      SELECT w.key
      FROM unnest(CAST(CAST(:cells AS TEXT) AS bigint[])) AS w (key)
    ) l
    CROSS JOIN LATERAL (
      SELECT f.id
      FROM (
        SELECT *
        FROM flyers
        WHERE by_index('flyers_medium_cell_feed', id)
      ) f
      WHERE (CAST(floor((f.latitude + 90) * 16) AS bigint) * 32768 + CAST(floor((f.longitude + 180) * 16) AS bigint)) = l.key
      AND f.expired = FALSE
      AND (f.valid_from <= :now) IS TRUE
      AND f.valid_until > :now
      AND f.latitude BETWEEN :south AND :north
      AND CAST(floor(2.0 * 6371.0 * asin(sqrt(least(1.0, sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) * sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) + cos(radians((:lat + 360.0) - 360.0)) * cos(radians((f.latitude + 360.0) - 360.0)) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0)))) * 1000000.0 + 0.5) AS bigint) <= :radius
      OFFSET 0
    ) f
  ) g
  CROSS JOIN LATERAL (
    SELECT *
    FROM favorites v
    WHERE v.user_id = :viewer
    AND v.flyer_id = g.id
    LIMIT 1
  ) v
  WHERE TRUE
  LIMIT 1001
) f
