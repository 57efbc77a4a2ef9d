/* lock_caller */
SELECT "users"."id"
FROM "users"
WHERE ("users"."id" = $1)
FOR NO KEY UPDATE
