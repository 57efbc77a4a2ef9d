/* caller */
SELECT "users"."id"
FROM "users"
WHERE (("users"."id" = $1) AND ("users"."token_key" = $2))
