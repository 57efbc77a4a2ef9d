/* feed_survey */
WITH r AS MATERIALIZED (
  SELECT CASE WHEN (
    SELECT count(*)
    FROM (
      SELECT w.followed_id AS key
      FROM (
        SELECT *
        FROM follows
        WHERE by_index('follows_follower_recent', follower_id)
      ) w
      WHERE w.follower_id = :viewer
      LIMIT 2000
    ) w
  ) = 2000 THEN 10000 ELSE (
    SELECT count(*)
    FROM (
      SELECT 1
      FROM (
        SELECT w.followed_id AS key
        FROM (
          SELECT *
          FROM follows
          WHERE by_index('follows_follower_recent', follower_id)
        ) w
        WHERE w.follower_id = :viewer
        LIMIT 2000
      ) w
      CROSS JOIN LATERAL (
        SELECT 1
        FROM (
          SELECT *
          FROM flyers
          WHERE by_index('flyers_creator_feed', id)
        ) f
        WHERE f.creator_id = w.key
        AND f.expired = FALSE
        OFFSET 0
      ) f
      LIMIT 10000
    ) f
  ) END AS n
),
s AS MATERIALIZED (
  SELECT coalesce(sum(near) * 256 / count(*), 0) AS near, coalesce(sum(searched) * 256 / count(*), 0) AS searched
  FROM (
    SELECT 0 AS near, CASE WHEN (strpos(
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
    ) > 0) THEN 1 ELSE 0 END AS searched
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
      WHERE r.n >= 1000
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
  SELECT CASE WHEN n < 1000 THEN 0 ELSE 0 END AS n
  FROM r
)
SELECT CAST(r.n AS bigint), CAST(p.n AS bigint), CAST(s.near AS bigint), CAST(s.searched AS bigint)
FROM r, p, s
LIMIT 1
