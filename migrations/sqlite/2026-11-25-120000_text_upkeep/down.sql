DROP TABLE flyer_trigram_places;
CREATE VIRTUAL TABLE flyer_trigram_terms USING fts5vocab (flyer_trigrams, row);
DROP TRIGGER flyers_forget_text;
DROP TRIGGER users_forget_text;
