/* favorite */
INSERT INTO "favorites" ("user_id", "flyer_id", "created_at", "flyer_created_at", "flyer_valid_from", "flyer_valid_until", "flyer_categories", "flyer_expired")
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO NOTHING
