/* follow_that_was */
SELECT "follows"."follower_id", "follows"."followed_id", "follows"."created_at"
FROM "follows"
WHERE (("follows"."follower_id" = $1) AND ("follows"."followed_id" = $2))
