-- What an account's tokens carry, so that they can be ended and open no other account. See feed_core::users.

-- 64 bits of chance, moved by a change of password and by a sign-out. An id alone names an account within one history: a
-- restored backup gives the ids behind it again, to others.
ALTER TABLE users ADD COLUMN token_key BIGINT NOT NULL DEFAULT 0;
UPDATE users SET token_key = random();
-- A default may not be an expression in a column that is added.
CREATE TRIGGER users_token_key AFTER INSERT ON users WHEN NEW.token_key = 0
BEGIN
    UPDATE users SET token_key = random() WHERE id = NEW.id;
END;

-- How often an operator lifted the limit of failed sign-ins: failures are counted under it, see feed_core::attempts.
ALTER TABLE users ADD COLUMN lifts INTEGER NOT NULL DEFAULT 0;
