/* validator */
SELECT (
  SELECT relations_version
  FROM users
  WHERE id = :viewer
  AND token_key = :key
), (
  SELECT CAST(sum(version) AS bigint)
  FROM content_versions
), (
  SELECT max(valid_from)
  FROM (
    SELECT *
    FROM flyers
    WHERE by_index('flyers_valid_from', id)
  ) f
  WHERE expired = FALSE
  AND valid_from <= :now
), (
  SELECT max(valid_until)
  FROM (
    SELECT *
    FROM flyers
    WHERE by_index('flyers_to_mark', id)
  ) f
  WHERE expired = FALSE
  AND valid_until <= :now
)
