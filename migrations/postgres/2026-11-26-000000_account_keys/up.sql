-- What an account's tokens carry, so that they can be ended and open no other account. See feed_core::users.

-- 64 bits of chance, moved by a change of password and by a sign-out. An id alone names an account within one history: a
-- restored backup gives the ids behind it again, to others. A UUID has 122 bits of chance, among others that are fixed:
-- the hash spreads them.
ALTER TABLE users ADD COLUMN token_key BIGINT NOT NULL DEFAULT
    CAST(CAST('x' || encode(substr(sha256(uuid_send(gen_random_uuid())), 1, 8), 'hex') AS bit(64)) AS bigint);

-- How often an operator lifted the limit of failed sign-ins: failures are counted under it, see feed_core::attempts.
ALTER TABLE users ADD COLUMN lifts INTEGER NOT NULL DEFAULT 0;
