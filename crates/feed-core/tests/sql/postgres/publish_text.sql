/* publish_text */
INSERT INTO "flyer_texts" ("flyer_id", "created_at", "text")
VALUES ($1, $2, $3)
