/* feed_count */
SELECT count(*)
FROM (
  SELECT 1
  FROM (
    SELECT w.followed_id AS key
    FROM follows w INDEXED BY follows_follower_recent
    WHERE w.follower_id = :viewer
  ) l
  CROSS JOIN flyers f INDEXED BY flyers_creator_feed
  WHERE f.creator_id = l.key
  AND f.expired = FALSE
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
