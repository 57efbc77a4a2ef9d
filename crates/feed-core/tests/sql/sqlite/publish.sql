/* publish */
INSERT INTO `flyers` (`creator_id`, `title`, `description`, `location_address`, `latitude`, `longitude`, `categories`, `valid_from`, `valid_until`, `created_at`)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
RETURNING `id`
