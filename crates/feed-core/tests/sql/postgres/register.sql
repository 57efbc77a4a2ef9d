/* register */
INSERT INTO "users" ("email", "email_key", "username", "password_hash", "created_at", "token_key")
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING "users"."id"
