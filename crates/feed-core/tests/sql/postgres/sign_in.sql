/* sign_in */
SELECT "users"."id", "users"."email", "users"."email_key", "users"."username", "users"."password_hash", "users"."profile_picture_url", "users"."created_at", "users"."relations_version", "users"."token_key", "users"."lifts"
FROM "users"
WHERE ("users"."email_key" = $1)
