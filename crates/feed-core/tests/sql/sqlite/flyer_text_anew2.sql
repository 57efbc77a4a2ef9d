/* flyer_text_anew */
INSERT INTO `flyer_texts` (`flyer_id`, `created_at`, `text`)
VALUES (?, ?, ?)
