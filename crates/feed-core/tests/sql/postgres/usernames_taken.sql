/* usernames_taken */
SELECT "users"."username"
FROM "users"
WHERE ("users"."username" = ANY($1))
