/* flyer_change */
UPDATE "flyers"
SET "title" = $1, "description" = $2, "location_address" = $3, "latitude" = $4, "longitude" = $5
WHERE ("flyers"."id" = $6)
