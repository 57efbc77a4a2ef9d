/* favorited_flyer */
SELECT "flyers"."id", "flyers"."created_at", "flyers"."valid_from", "flyers"."valid_until", "flyers"."categories", "flyers"."expired"
FROM "flyers"
WHERE ("flyers"."id" = $1)
FOR SHARE
