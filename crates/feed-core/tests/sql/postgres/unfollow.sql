/* unfollow */
DELETE
FROM "follows"
WHERE (("follows"."follower_id" = $1) AND ("follows"."followed_id" = $2))
