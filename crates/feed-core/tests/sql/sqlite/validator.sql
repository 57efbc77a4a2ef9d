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
  FROM flyers f INDEXED BY flyers_valid_from
  WHERE valid_from <= :now
), (
  SELECT max(valid_until)
  FROM flyers f INDEXED BY flyers_to_mark
  WHERE expired IS NOT TRUE
  AND valid_until <= :now
)
