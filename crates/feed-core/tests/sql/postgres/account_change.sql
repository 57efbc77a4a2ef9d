/* account_change */
UPDATE "users"
SET "username" = $1, "password_hash" = $2, "token_key" = $3
WHERE ("users"."id" = $4)
