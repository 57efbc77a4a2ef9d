/* register */
INSERT INTO `users` (`email`, `email_key`, `username`, `password_hash`, `created_at`, `token_key`)
VALUES (?, ?, ?, ?, ?, ?)
RETURNING `id`
