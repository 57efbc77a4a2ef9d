/* user_text_anew */
DELETE
FROM "user_texts"
WHERE ("user_texts"."user_id" = $1)
