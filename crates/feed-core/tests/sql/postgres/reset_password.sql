/* reset_password */
UPDATE "users"
SET "password_hash" = $1
WHERE ("users"."email_key" = $2)
