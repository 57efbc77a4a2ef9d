ALTER FUNCTION favorites_follow_flyer() RESET search_path;
ALTER FUNCTION move_content_version() RESET search_path;
ALTER FUNCTION forget_flyer_text() RESET search_path;
ALTER FUNCTION forget_user_text() RESET search_path;
