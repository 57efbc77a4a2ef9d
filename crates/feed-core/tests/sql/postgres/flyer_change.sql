/* flyer_change */
UPDATE "flyers"
SET "title" = $1, "description" = $2, "location_address" = $3, "latitude" = $4, "longitude" = $5, "categories" = $6, "valid_from" = $7, "valid_until" = $8, "expired" = $9
WHERE ("flyers"."id" = $10)
