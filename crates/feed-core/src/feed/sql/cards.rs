//! What a card shows: the rows of given flyers with creator, flags and images.

use super::terms::{flyer_by_id, is_favorite, is_followed};
use crate::engine::Engine;
use crate::feed::card::CardColumns;
use crate::page::Position;
use crate::sql::{Statement, Value, seek};

/// Fetches the rows of the flyers that `keys` names: for each flyer one probe of a primary key, one for its creator, and
/// one range for its images.
///
/// The flags are scalar subqueries and not EXISTS: PostgreSQL would read all favorites and follows of the viewer into a
/// hash for that.
pub(super) fn cards(
    engine: Engine,
    keys: &str,
    distance: &str,
    order: &str,
    binds: &[(&str, Value)],
) -> Statement<CardColumns> {
    let flyer = flyer_by_id(engine, "k.id");
    let rows = match engine {
        Engine::Sqlite => {
            let join = format!("{} CROSS JOIN users u", flyer.join);
            format!("{keys} {join} WHERE f.id = k.id AND u.id = f.creator_id")
        }
        Engine::Postgres => format!(
            "{keys} {} CROSS JOIN LATERAL (SELECT * FROM users u WHERE u.id = f.creator_id OFFSET 0) u",
            flyer.join
        ),
    };
    let image_urls = image_urls(engine);
    Statement::new(
        format!(
            "SELECT f.id, f.title, f.description, f.location_address, f.latitude, f.longitude, f.categories, \
             f.valid_from, f.valid_until, f.created_at, u.id, u.username, u.profile_picture_url, \
             coalesce({}, FALSE), coalesce({}, FALSE), {distance}, k.sorted_at, {image_urls} \
             FROM {rows} ORDER BY {order}",
            is_favorite(engine, "f.id"),
            is_followed(engine, "u.id"),
        ),
        binds,
    )
}

/// The URLs of the flyer `f`'s images in their order, with a space between two; NULL or empty where it has none.
///
/// A URL has no spaces: see [`crate::rules`]. Within the statement of the page, the images cost one range of their
/// primary key a flyer. A statement of their own would cost a round trip and fifty binds more.
fn image_urls(engine: Engine) -> String {
    let flyer = seek(engine, "f.id");
    let urls = format!("SELECT i.url FROM flyer_images i WHERE i.flyer_id = {flyer} ORDER BY i.position");
    match engine {
        Engine::Sqlite => format!("(SELECT group_concat(url, ' ') FROM ({urls}))"),
        Engine::Postgres => format!("array_to_string(ARRAY({urls}), ' ')"),
    }
}

/// One flyer by its id.
pub(in crate::feed) fn flyer(engine: Engine, flyer_id: i64, viewer: Option<i64>) -> Statement<CardColumns> {
    cards(
        engine,
        "(SELECT CAST(:id AS bigint) AS id, CAST(:at AS timestamp) AS sorted_at) k",
        "CAST(NULL AS bigint)",
        "k.id",
        &[
            ("id", Value::Int(flyer_id)),
            ("at", Value::Time(Position::START.at)),
            ("viewer", Value::Int(viewer.unwrap_or_default())),
        ],
    )
    .named("flyer")
}
