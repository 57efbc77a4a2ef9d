/* id_by_email */
SELECT "users"."id"
FROM "users"
WHERE ("users"."email_key" = $1)
