/* account_change */
UPDATE "users"
SET "username" = $1, "password_hash" = $2
WHERE ("users"."id" = $3)
