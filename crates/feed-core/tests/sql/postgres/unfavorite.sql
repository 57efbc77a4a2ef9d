/* unfavorite */
DELETE
FROM "favorites"
WHERE (("favorites"."user_id" = $1) AND ("favorites"."flyer_id" = $2))
