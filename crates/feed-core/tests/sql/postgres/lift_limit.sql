/* lift_limit */
UPDATE "users"
SET "lifts" = ("users"."lifts" + $1)
WHERE ("users"."email_key" = $2)
