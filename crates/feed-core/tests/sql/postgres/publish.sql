/* publish */
INSERT INTO "flyers" ("creator_id", "title", "description", "location_address", "latitude", "longitude", "categories", "valid_from", "valid_until", "created_at")
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
RETURNING "flyers"."id"
