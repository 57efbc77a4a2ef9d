// @generated automatically by Diesel CLI.

diesel::table! {
    content_versions (shard) {
        shard -> Int4,
        version -> Int8,
    }
}

diesel::table! {
    favorites (user_id, flyer_id) {
        user_id -> Int8,
        flyer_id -> Int8,
        created_at -> Timestamp,
        flyer_created_at -> Timestamp,
        flyer_valid_from -> Timestamp,
        flyer_valid_until -> Timestamp,
        flyer_categories -> Int2,
        flyer_expired -> Bool,
    }
}

diesel::table! {
    flyer_images (flyer_id, position) {
        flyer_id -> Int8,
        position -> Int2,
        url -> Text,
    }
}

diesel::table! {
    flyer_texts (flyer_id) {
        flyer_id -> Int8,
        created_at -> Timestamp,
        text -> Text,
    }
}

diesel::table! {
    flyers (id) {
        id -> Int8,
        creator_id -> Int8,
        title -> Text,
        description -> Text,
        location_address -> Text,
        latitude -> Float8,
        longitude -> Float8,
        categories -> Int2,
        valid_from -> Timestamp,
        valid_until -> Timestamp,
        created_at -> Timestamp,
        expired -> Bool,
    }
}

diesel::table! {
    follows (follower_id, followed_id) {
        follower_id -> Int8,
        followed_id -> Int8,
        created_at -> Timestamp,
    }
}

diesel::table! {
    user_texts (user_id) {
        user_id -> Int8,
        text -> Text,
    }
}

diesel::table! {
    users (id) {
        id -> Int8,
        email -> Text,
        email_key -> Text,
        username -> Text,
        password_hash -> Text,
        profile_picture_url -> Nullable<Text>,
        created_at -> Timestamp,
        relations_version -> Int8,
        token_key -> Int8,
        lifts -> Int4,
    }
}

diesel::joinable!(favorites -> flyers (flyer_id));
diesel::joinable!(favorites -> users (user_id));
diesel::joinable!(flyer_images -> flyers (flyer_id));
diesel::joinable!(flyer_texts -> flyers (flyer_id));
diesel::joinable!(flyers -> users (creator_id));
diesel::joinable!(user_texts -> users (user_id));

diesel::allow_tables_to_appear_in_same_query!(
    content_versions,
    favorites,
    flyer_images,
    flyer_texts,
    flyers,
    follows,
    user_texts,
    users,
);
