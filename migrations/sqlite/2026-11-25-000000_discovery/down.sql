DROP INDEX flyers_small_cell_feed;
DROP INDEX flyers_medium_cell_feed;
DROP INDEX flyers_large_cell_feed;
DROP INDEX flyers_feed;
DROP INDEX flyers_creator_feed;
ALTER TABLE flyers DROP COLUMN small_cell;
ALTER TABLE flyers DROP COLUMN medium_cell;
ALTER TABLE flyers DROP COLUMN large_cell;
CREATE INDEX flyers_feed ON flyers (created_at DESC, id_key DESC, creator_id, valid_until, valid_from, categories)
    WHERE expired = FALSE;
CREATE INDEX flyers_creator_feed ON flyers
    (creator_id, created_at DESC, id_key DESC, valid_until, valid_from, categories) WHERE expired = FALSE;
DROP TABLE flyer_texts;
DROP TABLE flyer_texts_to_index;
DROP TABLE user_texts;
DROP TABLE flyer_trigram_terms;
DROP TABLE flyer_trigrams;
DROP TABLE user_trigrams;
