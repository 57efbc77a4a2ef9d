/* register_text */
INSERT INTO "user_texts" ("user_id", "text")
VALUES ($1, $2)
