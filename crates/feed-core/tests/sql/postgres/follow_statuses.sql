/* follow_statuses */
SELECT "users"."id", EXISTS (
  SELECT "follows"."follower_id", "follows"."followed_id", "follows"."created_at"
  FROM "follows"
  WHERE (("follows"."follower_id" = $1) AND ("follows"."followed_id" = "users"."id"))
)
FROM "users"
WHERE ("users"."id" = ANY($2))
