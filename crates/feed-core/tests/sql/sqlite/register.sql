/* register */
INSERT INTO `users` (`email`, `email_key`, `username`, `password_hash`, `created_at`)
VALUES (?, ?, ?, ?, ?)
RETURNING `id`
