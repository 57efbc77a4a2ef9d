DROP TRIGGER flyers_forget_text ON flyers;
DROP FUNCTION forget_flyer_text();
DROP TRIGGER users_forget_text ON users;
DROP FUNCTION forget_user_text();
