//! The rows as they are loaded.
//!
//! Unlike the [models](crate::models), which leave a column's default to the database where a value is
//! missing, they have a value for every column: COPY knows no defaults.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::{favorites, flyer_images, flyers, follows, users};

#[derive(Debug, Insertable)]
#[diesel(table_name = users, treat_none_as_default_value = false)]
pub(super) struct UserRow<'a> {
    pub(super) id: i64,
    pub(super) email: String,
    pub(super) email_key: String,
    pub(super) username: String,
    pub(super) password_hash: &'a str,
    pub(super) profile_picture_url: Option<String>,
    pub(super) created_at: NaiveDateTime,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = flyers, treat_none_as_default_value = false)]
pub(super) struct FlyerRow {
    pub(super) id: i64,
    pub(super) creator_id: i64,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) location_address: String,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) categories: i16,
    pub(super) valid_from: NaiveDateTime,
    pub(super) valid_until: NaiveDateTime,
    pub(super) created_at: NaiveDateTime,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = flyer_images, treat_none_as_default_value = false)]
pub(super) struct ImageRow {
    pub(super) flyer_id: i64,
    pub(super) position: i16,
    pub(super) url: String,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = follows, treat_none_as_default_value = false)]
pub(super) struct FollowRow {
    pub(super) follower_id: i64,
    pub(super) followed_id: i64,
    pub(super) created_at: NaiveDateTime,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = favorites, treat_none_as_default_value = false)]
pub(super) struct FavoriteRow {
    pub(super) user_id: i64,
    pub(super) flyer_id: i64,
    pub(super) created_at: NaiveDateTime,
    pub(super) flyer_created_at: NaiveDateTime,
}
