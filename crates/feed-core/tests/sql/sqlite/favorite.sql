/* favorite */
INSERT INTO `favorites` (`user_id`, `flyer_id`, `created_at`, `flyer_created_at`, `flyer_valid_from`, `flyer_valid_until`, `flyer_categories`, `flyer_expired`)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
