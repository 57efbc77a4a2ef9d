/* feed_survey */
WITH r AS MATERIALIZED (
  SELECT (
    SELECT count(*)
    FROM (
      SELECT 1
      FROM (
        SELECT *
        FROM favorites
        WHERE by_index('favorites_feed', user_id)
      ) v
      WHERE v.user_id = :viewer
      AND v.flyer_expired = FALSE
      LIMIT 10000
    ) v
  ) AS n
),
s AS MATERIALIZED (
  SELECT coalesce(sum(near) * 256 / count(*), 0) AS near, coalesce(sum(searched) * 256 / count(*), 0) AS searched
  FROM (
    SELECT CASE WHEN f.latitude BETWEEN :south AND :north
    AND CAST(floor(2.0 * 6371.0 * asin(sqrt(least(1.0, sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) * sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) + cos(radians((:lat + 360.0) - 360.0)) * cos(radians((f.latitude + 360.0) - 360.0)) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0) * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0)))) * 1000000.0 + 0.5) AS bigint) <= :radius THEN 1 ELSE 0 END AS near, 0 AS searched
    FROM (
      SELECT (
        SELECT f.id
        FROM flyers f
        ORDER BY f.id ASC
        LIMIT 1
      ) AS first, (
        SELECT f.id
        FROM flyers f
        ORDER BY f.id DESC
        LIMIT 1
      ) AS last
      LIMIT 1
    ) e
    CROSS JOIN generate_series(0, (
      SELECT 255
      FROM r
      WHERE r.n >= 5000
    )) AS n (i)
    CROSS JOIN LATERAL (
      SELECT *
      FROM flyers f
      WHERE f.id = e.first + CAST((e.last - e.first) * (n.i * 618034 % 1000000 / 1000000.0) AS bigint)
      OFFSET 0
    ) f
    WHERE f.expired = FALSE
  ) f
  HAVING count(*) > 0
  UNION ALL
  SELECT 0, 0
),
p AS MATERIALIZED (
  SELECT CASE WHEN n < 5000 THEN 0 ELSE (
    SELECT count(*)
    FROM (
      SELECT 1
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
        OFFSET 0
      ) f
      LIMIT 10000
    ) f
  ) END AS n
  FROM r
)
SELECT CAST(r.n AS bigint), CAST(p.n AS bigint), CAST(s.near AS bigint), CAST(s.searched AS bigint)
FROM r, p, s
LIMIT 1
