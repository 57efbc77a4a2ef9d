-- Our functions find our tables whatever the search path of the session is. pg_dump's own is empty: its data came back
-- into no database that had the triggers already.
DO $$
DECLARE
    name regprocedure;
BEGIN
    FOREACH name IN ARRAY CAST(ARRAY[
        'favorites_follow_flyer()', 'move_content_version()', 'forget_flyer_text()', 'forget_user_text()'
    ] AS regprocedure[]) LOOP
        -- Behind it the temporary one: it would come first otherwise.
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
END $$;
