/* flyer_image */
INSERT INTO "flyer_images" ("flyer_id", "position", "url")
VALUES ($1, $2, $3)
