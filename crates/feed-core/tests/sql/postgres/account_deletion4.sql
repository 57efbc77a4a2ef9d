/* account_deletion */
DELETE
FROM "follows"
WHERE ("follows"."follower_id" = $1)
