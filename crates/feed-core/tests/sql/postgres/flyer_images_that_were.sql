/* flyer_images_that_were */
SELECT "flyer_images"."url"
FROM "flyer_images"
WHERE ("flyer_images"."flyer_id" = $1)
ORDER BY "flyer_images"."position"
