/* sign_out */
UPDATE "users"
SET "token_key" = $1
WHERE (("users"."id" = $2) AND ("users"."token_key" = $3))
