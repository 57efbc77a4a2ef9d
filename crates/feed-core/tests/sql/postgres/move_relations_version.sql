/* move_relations_version */
UPDATE "users"
SET "relations_version" = ("users"."relations_version" + $1)
WHERE ("users"."id" = $2)
