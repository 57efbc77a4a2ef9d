/* images */
SELECT flyer_id, position, url
FROM flyer_images
WHERE flyer_id = ANY (seek(ARRAY[:ids]))
ORDER BY flyer_id, position
