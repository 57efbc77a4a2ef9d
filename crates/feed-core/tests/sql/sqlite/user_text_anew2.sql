/* user_text_anew */
INSERT INTO `user_texts` (`user_id`, `text`)
VALUES (?, ?)
