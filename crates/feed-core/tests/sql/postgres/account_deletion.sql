/* account_deletion */
DELETE
FROM "favorites"
WHERE ("favorites"."user_id" = $1)
