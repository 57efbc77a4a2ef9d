/* images */
SELECT flyer_id, position, url
FROM flyer_images
WHERE flyer_id IN (:ids)
ORDER BY flyer_id, position
