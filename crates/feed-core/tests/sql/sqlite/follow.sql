/* follow */
INSERT INTO `follows` (`follower_id`, `followed_id`, `created_at`)
VALUES (?, ?, ?)
ON CONFLICT DO NOTHING
