/* sign_out_by_email */
UPDATE "users"
SET "token_key" = $1
WHERE ("users"."email_key" = $2)
