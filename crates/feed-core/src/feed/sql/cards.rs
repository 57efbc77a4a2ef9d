//! What a card shows: the rows of given flyers with creator and flags, and their images.

use super::terms::{flyer_by_id, is_favorite, is_followed};
use crate::engine::Engine;
use crate::feed::card::{CardColumns, ImageColumns};
use crate::page::{MAX_PAGE_SIZE, Position};
use crate::sql::{Statement, Value, seek};

/// Fetches the rows of the flyers that `keys` names: one probe of a primary key for each flyer and its creator.
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
    Statement::new(
        format!(
            "SELECT f.id, f.title, f.description, f.location_address, f.latitude, f.longitude, f.categories, \
             f.valid_from, f.valid_until, f.created_at, u.id, u.username, u.profile_picture_url, \
             coalesce({}, FALSE), coalesce({}, FALSE), {distance}, k.sorted_at FROM {rows} ORDER BY {order}",
            is_favorite(engine, "f.id"),
            is_followed(engine, "u.id"),
        ),
        binds,
    )
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

/// The images of up to [`MAX_PAGE_SIZE`] flyers, each flyer's in order.
///
/// The number of binds is always the same, so one prepared statement serves every page. A list of changing length would
/// be prepared anew each time, which costs PostgreSQL more than running it.
pub(in crate::feed) fn images(engine: Engine, flyer_ids: &[i64]) -> Statement<ImageColumns> {
    let mut ids = flyer_ids.to_vec();
    // No flyer has the id 0.
    ids.resize(ids.len().max(MAX_PAGE_SIZE as usize), 0);
    let among = match engine {
        Engine::Sqlite => "IN (:ids)".to_owned(),
        Engine::Postgres => format!("= ANY ({})", seek(engine, "ARRAY[:ids]")),
    };
    Statement::new(
        format!(
            "SELECT flyer_id, position, url FROM flyer_images WHERE flyer_id {among} ORDER BY flyer_id, position"
        ),
        &[("ids", Value::Ids(ids))],
    )
    .named("images")
}
