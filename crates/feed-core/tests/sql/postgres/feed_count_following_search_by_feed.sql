/* feed_count */
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
  ) l
  CROSS JOIN LATERAL (
    SELECT f.id
    FROM (
      SELECT *
      FROM flyers
      WHERE by_index('flyers_creator_feed', id)
    ) f
    WHERE f.creator_id = l.key
    AND f.expired = FALSE
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
    OFFSET 0
  ) f
  LIMIT 1001
) f
