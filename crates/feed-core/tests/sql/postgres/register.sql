/* register */
INSERT INTO "users" ("email", "email_key", "username", "password_hash", "created_at")
VALUES ($1, $2, $3, $4, $5)
RETURNING "users"."id"
