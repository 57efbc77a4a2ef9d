/* follow */
INSERT INTO "follows" ("follower_id", "followed_id", "created_at")
VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING
