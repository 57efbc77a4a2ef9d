-- Times are UTC. Every index names the query that needs it.

-- AUTOINCREMENT: an id is never given twice, so the token of a deleted user opens nobody's account.
CREATE TABLE users (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    email TEXT NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    -- The address in lower case: unique whatever its case. Folded in Rust, since lower() knows ASCII only.
    email_key TEXT NOT NULL,
    username TEXT NOT NULL CHECK (length(username) BETWEEN 1 AND 150),
    password_hash TEXT NOT NULL,
    profile_picture_url TEXT CHECK (length(CAST(profile_picture_url AS BLOB)) <= 2048),
    created_at TIMESTAMP NOT NULL
);
-- Sign-in by address; one account an address.
CREATE UNIQUE INDEX users_email_key ON users (email_key);
-- One account a name.
CREATE UNIQUE INDEX users_username ON users (username);

CREATE TABLE flyers (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    creator_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title TEXT NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    description TEXT NOT NULL CHECK (length(description) <= 2000),
    location_address TEXT NOT NULL CHECK (length(location_address) BETWEEN 1 AND 500),
    latitude DOUBLE NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    longitude DOUBLE NOT NULL CHECK (longitude BETWEEN -180 AND 180),
    -- A set of bits: events 1, nightlife 2, service 4. A filter on it costs no join.
    categories SMALLINT NOT NULL CHECK (categories BETWEEN 1 AND 7),
    valid_from TIMESTAMP NOT NULL,
    valid_until TIMESTAMP NOT NULL,
    -- Whole seconds and never changed, so that the feed's order is the index's.
    created_at TIMESTAMP NOT NULL CHECK (length(created_at) = 19),
    CHECK (valid_from < valid_until)
);
-- Main feed and the look of the following feed, in their order; validity and creator behind the keys answer
-- from the index alone.
CREATE INDEX flyers_feed ON flyers (created_at DESC, id DESC, creator_id, valid_until, valid_from);
-- Following feed: the newest flyers of one creator. Deleting a user.
CREATE INDEX flyers_creator_feed ON flyers (creator_id, created_at DESC, id DESC, valid_until, valid_from);

-- WITHOUT ROWID: the images of a flyer lie beside each other in the primary key's own tree.
CREATE TABLE flyer_images (
    flyer_id BIGINT NOT NULL REFERENCES flyers (id) ON DELETE CASCADE,
    position SMALLINT NOT NULL CHECK (position BETWEEN 1 AND 5),
    url TEXT NOT NULL CHECK (length(CAST(url AS BLOB)) BETWEEN 1 AND 2048),
    -- The images of a page; deleting a flyer.
    PRIMARY KEY (flyer_id, position)
) WITHOUT ROWID;

CREATE TABLE favorites (
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    flyer_id BIGINT NOT NULL REFERENCES flyers (id) ON DELETE CASCADE,
    created_at TIMESTAMP NOT NULL,
    -- The flyer's created_at, which never changes: the favorites feed is one range of one index.
    flyer_created_at TIMESTAMP NOT NULL,
    -- is_favorited of a page; one favorite a user and flyer.
    PRIMARY KEY (user_id, flyer_id)
) WITHOUT ROWID;
-- Favorites feed, in its order.
CREATE INDEX favorites_feed ON favorites (user_id, flyer_created_at DESC, flyer_id DESC);
-- A user's favorites, most recent first.
CREATE INDEX favorites_user_recent ON favorites (user_id, created_at DESC, flyer_id DESC);
-- Who favorited a flyer; deleting a flyer.
CREATE INDEX favorites_flyer_recent ON favorites (flyer_id, created_at DESC);

CREATE TABLE follows (
    follower_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    followed_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at TIMESTAMP NOT NULL,
    -- Following feed and is_following of a page; one follow a pair.
    PRIMARY KEY (follower_id, followed_id),
    CHECK (follower_id <> followed_id)
) WITHOUT ROWID;
-- Whom a user follows, most recent first.
CREATE INDEX follows_follower_recent ON follows (follower_id, created_at DESC, followed_id DESC);
-- The followers of a user; deleting a user.
CREATE INDEX follows_followed_recent ON follows (followed_id, created_at DESC);
