//! The SQL of the feeds: which flyers are on a page, and what a card shows of them.
//!
//! Every page query has the same two layers. The inner one, the *keys*, walks narrow indexes from a
//! position in one direction and yields `(id, sorted_at, distance)` of the page's rows and no more. The
//! outer one fetches those rows with creator and flags. A position is always there: the first page starts
//! at [`Position::START`](crate::page::Position::START), so there is one form for every page.
//!
//! Without a location the order is that of the indexes, `(sorted_at, id)`. With one, flyers of the same
//! second are ordered by distance, which no index knows. Then the keys take two steps: walk by
//! `(sorted_at, id)` to find the second in which the page ends, the *edge*; then take everything from the
//! position's second to the edge, compute the distances of those only, sort and cut.
//!
//! What leads to the keys is said by [`Lead`]: the feed's own index, where the feed is one list; or many
//! lists, by creator or by place, see [`merge`]; or the trigrams of a search, see [`search`].

use chrono::NaiveDateTime;
use diesel::sql_types::BigInt;

use super::lead::Lead;
use super::merge::{self, Lists, Merge};
use super::search::{self, Search};
use super::{CardColumns, Feed, FeedRequest, Listing};
use crate::db::Engine;
use crate::geo;
use crate::page::{COUNT_LIMIT, Direction, MAX_PAGE_SIZE, Position};
use crate::sql::{Statement, Value, by_index};
use crate::text;

/// The words that turn a query round.
pub(super) struct Way {
    /// Order of `sorted_at` and `id`.
    pub(super) order: &'static str,
    /// Order of `distance`, which is sorted the other way.
    pub(super) distance_order: &'static str,
    /// The function that finds the last of several times.
    pub(super) last: &'static str,
    /// What a key is to the position it lies behind.
    pub(super) behind: &'static str,
    /// What a key is to a position that it lies before; a distance, which is sorted the other way, to one
    /// that it lies behind.
    pub(super) before: &'static str,
    /// An id behind all others of its second.
    pub(super) beyond: i64,
    /// A position behind all rows.
    pub(super) end: Position,
}

impl Way {
    fn of(direction: Direction) -> Self {
        match direction {
            Direction::Forward => Self {
                order: "DESC",
                distance_order: "ASC",
                last: "min",
                behind: "<",
                before: ">",
                beyond: 0,
                end: Position::END,
            },
            Direction::Backward => Self {
                order: "ASC",
                distance_order: "DESC",
                last: "max",
                behind: ">",
                before: "<",
                beyond: i64::MAX,
                end: Position::START,
            },
        }
    }
}

/// Where the rows of a feed are, each with all that decides whether it is shown and where.
struct Source {
    /// The table, with a condition that lacks its end.
    from: String,
    /// The column that the feed is sorted by, then by the next.
    at: &'static str,
    id: &'static str,
    /// What a row must be to be shown.
    shown: String,
}

impl Source {
    /// The favorites among the flyers with the ids of a SELECT, in their own order, which no index of flyers knows: all of
    /// them are gathered and sorted.
    fn favorites_among(engine: Engine, ids: &str) -> Self {
        let favorite = "favorites v WHERE v.user_id = :viewer AND v.flyer_id = g.id";
        let from = match engine {
            Engine::Sqlite => format!("({ids}) g CROSS JOIN {favorite} AND"),
            Engine::Postgres => {
                format!("({ids}) g CROSS JOIN LATERAL (SELECT * FROM {favorite} OFFSET 0) v WHERE")
            }
        };
        Self { from, at: "v.created_at", id: "v.flyer_id", shown: "TRUE".to_owned() }
    }

    fn of(engine: Engine, listing: &Listing) -> Self {
        let by_favorite = |index, at| {
            let favorites = by_index(engine, "favorites v", index);
            Self {
                from: format!("{favorites} WHERE v.user_id = :viewer AND"),
                at,
                id: "v.flyer_id",
                shown: shown(engine, listing, "v.flyer_")
                    + &filters(engine, listing, true, |f| {
                        format!("(SELECT {f} FROM flyers f WHERE f.id = v.flyer_id)")
                    }),
            }
        };
        let of_flyers = |from: String| Self {
            from,
            at: "f.created_at",
            id: id_key(engine),
            shown: shown(engine, listing, "f.") + &filters(engine, listing, true, |f| f),
        };
        match listing.feed {
            Feed::All(_) => of_flyers(format!("{} WHERE", by_index(engine, "flyers f", "flyers_feed"))),
            Feed::Favorites(_) => by_favorite("favorites_feed", "v.flyer_created_at"),
            Feed::Favorited(_) => by_favorite("favorites_recent_feed", "v.created_at"),
            Feed::Following(_) => {
                let flyers = by_index(engine, "flyers f", "flyers_creator_feed");
                of_flyers(format!(
                    "follows w CROSS JOIN {flyers} WHERE w.follower_id = :viewer AND f.creator_id = w.followed_id AND"
                ))
            }
            Feed::Creator { .. } if listing.feed.is_own() => {
                // Two ranges of one index, which either engine merges in order.
                let flyers = by_index(engine, "flyers f", "flyers_creator_recent");
                let marked = |mark| {
                    format!("SELECT * FROM {flyers} WHERE f.creator_id = :creator AND f.expired = {mark}")
                };
                of_flyers(format!("({} UNION ALL {}) f WHERE", marked("FALSE"), marked("TRUE")))
            }
            Feed::Creator { .. } => {
                let flyers = by_index(engine, "flyers f", "flyers_creator_feed");
                of_flyers(format!("{flyers} WHERE f.creator_id = :creator AND"))
            }
        }
    }
}

/// The id of the flyer `f` as the second key of an index.
///
/// SQLite starts at `(created_at, id)` within an index only where id is a column like others, and not the row's
/// own number: or a page behind 10,000 flyers of one second would pass over them one by one.
pub(super) fn id_key(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "f.id_key",
        Engine::Postgres => "f.id",
    }
}

/// Not marked as expired, valid by the clock, and of a wanted category: all from columns of the feed's index.
///
/// IS TRUE says nothing new, but to PostgreSQL: it would enter the index of all that has begun, which is nearly all there
/// is, where it thinks much of the other conditions.
fn shown(engine: Engine, listing: &Listing, prefix: &str) -> String {
    let valid = if listing.feed.is_own() {
        "TRUE".to_owned()
    } else {
        let unmarked = unmarked(prefix);
        let begun = match engine {
            Engine::Sqlite => format!("{prefix}valid_from <= :now"),
            Engine::Postgres => format!("({prefix}valid_from <= :now) IS TRUE"),
        };
        format!("{unmarked} AND {begun} AND {prefix}valid_until > :now")
    };
    match listing.categories {
        None => valid,
        Some(_) => format!("{valid} AND {prefix}categories & :categories <> 0"),
    }
}

/// What else a flyer must be, behind an AND: by what stands in its own row `f`, which `of` brings in. Whether it is
/// found by the search, `by_text`, is not asked where a search led to it.
fn filters(engine: Engine, listing: &Listing, by_text: bool, of: impl Fn(String) -> String) -> String {
    let mut filters = Vec::new();
    if listing.circle().is_some() {
        filters.push(is_near(engine));
    }
    if by_text && listing.search.is_some() {
        filters.push(text::finds(engine));
    }
    if filters.is_empty() { String::new() } else { format!(" AND {}", of(filters.join(" AND "))) }
}

/// Whether the flyer `f` is within the circle; what is out of its latitudes is told without trigonometry.
pub(super) fn is_near(engine: Engine) -> String {
    let distance = geo::distance_expression(engine);
    format!("f.latitude BETWEEN :south AND :north AND {distance} <= :radius")
}

/// What a flyer `f` must be where its place or its text led to it: shown, and of the feed.
fn shown_elsewhere(engine: Engine, listing: &Listing, by_text: bool) -> String {
    let shown = shown(engine, listing, "f.") + &filters(engine, listing, by_text, |f| f);
    match listing.feed {
        // Those that are favorites are sought among them.
        Feed::All(_) | Feed::Favorited(_) => shown,
        Feed::Favorites(_) => format!(
            "{shown} AND (SELECT TRUE FROM favorites v WHERE v.user_id = :viewer AND v.flyer_id = f.id)"
        ),
        Feed::Following(_) => format!("{shown} AND {}", merge::is_followed("f.creator_id")),
        Feed::Creator { .. } => format!("f.creator_id = :creator AND {shown}"),
    }
}

/// What the feeds' indexes hold.
///
/// In their own words and without a bind: a partial index serves only what the text itself says. An equation,
/// since SQLite then knows the column's value and need not look at the row for it.
pub(super) fn unmarked(prefix: &str) -> String {
    format!("{prefix}expired = FALSE")
}

/// The binds that say what is listed, in page and count.
pub(super) fn listing_binds(
    engine: Engine,
    listing: &Listing,
    now: NaiveDateTime,
) -> Vec<(&'static str, Value)> {
    let mut binds =
        vec![("now", Value::Time(now)), ("viewer", Value::Int(listing.feed.viewer().unwrap_or_default()))];
    binds.extend(listing.categories.map(|set| ("categories", Value::Int(i16::from(set).into()))));
    if let Some(circle) = listing.circle() {
        let (south, north) = circle.latitudes();
        binds.extend([
            ("radius", Value::Int(circle.radius_mm)),
            ("south", Value::Real(south)),
            ("north", Value::Real(north)),
        ]);
    }
    if let Some(search) = &listing.search {
        binds.extend(search::binds(engine, search));
    }
    if let Feed::Creator { creator, .. } = listing.feed {
        binds.push(("creator", Value::Int(creator)));
    }
    if let Some(location) = listing.location {
        binds.extend([("lat", Value::Real(location.latitude)), ("lng", Value::Real(location.longitude))]);
    }
    binds
}

pub(super) fn page(engine: Engine, request: &FeedRequest, lead: Lead) -> Statement<CardColumns> {
    let FeedRequest { listing, page, now } = request;
    let way = Way::of(page.direction());
    let position = page.position();
    let (route, route_binds) = Route::of(engine, listing, lead);
    let mut binds = listing_binds(engine, listing, *now);
    binds.extend(route_binds);
    if let Route::Search { .. } = route {
        binds.extend(search::position_binds(engine, page.direction(), position.at, *now));
    }
    binds.extend([
        ("at", Value::Time(position.at)),
        ("id", Value::Int(position.id)),
        ("limit", Value::Int(page.limit().into())),
        ("offset", Value::Int(page.offset().into())),
        ("reach", Value::Int((page.offset() + page.limit()).into())),
        ("end", Value::Time(way.end.at)),
    ]);
    let (keys, distance) = if listing.is_sorted_by_distance() {
        binds.extend([
            ("distance", Value::Int(position.distance)),
            ("beyond", Value::Int(way.beyond)),
            ("last", Value::Int((page.offset() + page.limit() - 1).into())),
        ]);
        (by_distance(engine, &route, &way), "k.distance")
    } else {
        let keys = route.walk(engine, &way, ":id", ":limit OFFSET :offset");
        let distance = match listing.location {
            Some(_) => geo::distance_expression(engine),
            None => "CAST(NULL AS bigint)",
        };
        (format!("SELECT id, sorted_at, 0 AS distance FROM ({keys}) k"), distance)
    };
    // The literal limit says nothing new to the result, but to PostgreSQL: it guesses a bound limit to be
    // a tenth of all rows, and would fetch those by whole tables.
    let max = MAX_PAGE_SIZE + 1;
    let Way { order, distance_order, .. } = way;
    cards(
        engine,
        &format!("(SELECT * FROM ({keys}) k LIMIT {max}) k"),
        distance,
        &format!("k.sorted_at {order}, k.distance {distance_order}, k.id {order}"),
        &binds,
    )
    .named("feed_page")
}

/// One flyer by its id.
pub(super) fn single(engine: Engine, flyer_id: i64, viewer: Option<i64>) -> Statement<CardColumns> {
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

/// Fetches what a card shows of the flyers that `keys` names: one probe of a primary key for each of them, one for
/// its creator.
///
/// Either engine is held to that, by CROSS JOIN and by a LATERAL that OFFSET 0 keeps whole: PostgreSQL may think it
/// cheaper to join all flyers with all users first. The flags are no EXISTS: it would read all favorites and
/// follows of the viewer into a hash for it.
fn cards(
    engine: Engine,
    keys: &str,
    distance: &str,
    order: &str,
    binds: &[(&str, Value)],
) -> Statement<CardColumns> {
    let rows = match engine {
        Engine::Sqlite => {
            format!("{keys} CROSS JOIN flyers f CROSS JOIN users u WHERE f.id = k.id AND u.id = f.creator_id")
        }
        Engine::Postgres => format!(
            "{keys} CROSS JOIN LATERAL (SELECT * FROM flyers f WHERE f.id = k.id OFFSET 0) f \
             CROSS JOIN LATERAL (SELECT * FROM users u WHERE u.id = f.creator_id OFFSET 0) u"
        ),
    };
    Statement::new(
        format!(
            "SELECT f.id, f.title, f.description, f.location_address, f.latitude, f.longitude, f.categories, \
             f.valid_from, f.valid_until, f.created_at, u.id, u.username, u.profile_picture_url, \
             coalesce((SELECT TRUE FROM favorites v WHERE v.user_id = :viewer AND v.flyer_id = f.id), FALSE), \
             coalesce((SELECT TRUE FROM follows w WHERE w.follower_id = :viewer AND w.followed_id = u.id), FALSE), \
             {distance}, k.sorted_at FROM {rows} ORDER BY {order}"
        ),
        binds,
    )
}

/// The way to a page's keys.
enum Route {
    /// One list, the range of an index.
    List(Source),
    /// Many of them.
    Merge { lists: Lists, shown: String },
    /// Those that a search finds.
    Search { shown: String, published_by: String, is_long: bool },
}

impl Route {
    /// The route that a lead stands for, with its binds.
    fn of(engine: Engine, listing: &Listing, lead: Lead) -> (Self, Option<(&'static str, Value)>) {
        let lead = if listing.has_other_leads() { lead } else { Lead::Feed };
        let (route, binds) = match (lead, listing.circle(), &listing.search) {
            (Lead::Place, Some(circle), _) => {
                let cover = circle.cover();
                let cells = Lists::cells(engine, &cover.cells);
                let shown = shown_elsewhere(engine, listing, true);
                (Self::Merge { lists: Lists::Cells(cover.grid), shown }, Some(("cells", Value::Text(cells))))
            }
            (Lead::Text, _, Some(search)) => {
                let shown = shown_elsewhere(engine, listing, false);
                let published_by = match listing.feed {
                    Feed::Following(_) => merge::is_followed("u.user_id"),
                    Feed::Creator { .. } => "u.user_id = :creator".to_owned(),
                    _ => "TRUE".to_owned(),
                };
                (Self::Search { shown, published_by, is_long: text::has_trigrams(engine, search) }, None)
            }
            // Without a place or a search, they lead nowhere.
            _ => {
                let source = Source::of(engine, listing);
                match listing.feed {
                    Feed::Following(_) => (Self::Merge { lists: Lists::Followed, shown: source.shown }, None),
                    _ => (Self::List(source), None),
                }
            }
        };
        match (listing.feed, &route) {
            (Feed::Favorited(_), Self::Merge { .. } | Self::Search { .. }) => {
                (Self::List(Source::favorites_among(engine, &route.all(engine, "f.id"))), binds)
            }
            _ => (route, binds),
        }
    }

    /// All that is listed, in no order: a SELECT of the `column` of each row.
    fn all(&self, engine: Engine, column: &str) -> String {
        match self {
            Self::List(Source { from, shown, .. }) => format!("SELECT {column} FROM {from} {shown}"),
            Self::Merge { lists, shown } => format!("SELECT {column} FROM {}", lists.all(engine, shown)),
            Self::Search { shown, published_by, is_long } => {
                let way = Way::of(Direction::Forward);
                Search { engine, way: &way, shown, published_by, is_long: *is_long }.all(column)
            }
        }
    }

    /// The `(id, sorted_at)` of the listed flyers behind `(:at, {id})`, by `(sorted_at, id)`, up to `limit`.
    fn walk(&self, engine: Engine, way: &Way, id: &str, limit: &str) -> String {
        match self {
            Self::List(Source { from, at, id: row_id, shown }) => {
                let Way { order, behind, .. } = way;
                format!(
                    "SELECT {row_id} AS id, {at} AS sorted_at FROM {from} {shown} \
                     AND ({at}, {row_id}) {behind} (:at, {id}) ORDER BY {at} {order}, {row_id} {order} LIMIT {limit}"
                )
            }
            Self::Merge { lists, shown } => Merge { engine, way, lists: *lists, shown }.walk(id, limit),
            Self::Search { shown, published_by, is_long } => {
                Search { engine, way, shown, published_by, is_long: *is_long }.walk(id, limit)
            }
        }
    }

    /// The `(id, sorted_at, distance)` of the listed flyers from the position's second to the one in which the page
    /// ends.
    fn down_to_the_edge(&self, engine: Engine, way: &Way) -> String {
        let distance = geo::distance_expression(engine);
        match self {
            Self::List(Source { from, at, id, shown }) => {
                let last = way.last;
                let walked = self.walk(engine, way, ":beyond", ":reach");
                let second = |second: &str| {
                    format!("SELECT {id} AS id, {at} AS sorted_at FROM {from} {shown} AND {at} = {second}")
                };
                let (own, edge) = (second(":at"), second("(SELECT at FROM edge)"));
                let flyer = match engine {
                    Engine::Sqlite => "CROSS JOIN flyers f WHERE f.id = k.id",
                    Engine::Postgres => {
                        "CROSS JOIN LATERAL (SELECT * FROM flyers f WHERE f.id = k.id OFFSET 0) f"
                    }
                };
                // Nothing is asked twice but the second in which the page ends, whose rows the walk cuts off.
                format!(
                    "WITH walked AS MATERIALIZED ({walked}), \
                     edge AS MATERIALIZED (SELECT CASE WHEN count(*) = :reach THEN {last}(sorted_at) END AS at \
                     FROM walked) \
                     SELECT f.id, k.sorted_at, {distance} AS distance FROM (\
                     SELECT id, sorted_at FROM walked WHERE sorted_at <> coalesce((SELECT at FROM edge), :end) \
                     UNION ALL {own} UNION ALL {edge}) k {flyer}"
                )
            }
            Self::Merge { lists, shown } => {
                Merge { engine, way, lists: *lists, shown }.down_to_the_edge(distance)
            }
            Self::Search { shown, published_by, is_long } => {
                Search { engine, way, shown, published_by, is_long: *is_long }.down_to_the_edge(distance)
            }
        }
    }
}

/// The keys in the order of a feed with a location: see the module's text.
fn by_distance(engine: Engine, route: &Route, way: &Way) -> String {
    let Way { order, distance_order, behind, before, .. } = way;
    let rows = route.down_to_the_edge(engine, way);
    format!(
        "SELECT id, sorted_at, distance FROM ({rows}) f \
         WHERE sorted_at <> :at OR distance {before} :distance OR (distance = :distance AND id {behind} :id) \
         ORDER BY sorted_at {order}, distance {distance_order}, id {order} LIMIT :limit OFFSET :offset"
    )
}

/// Counts the listed flyers up to the limit of exact counts and one.
pub(super) fn count(engine: Engine, listing: &Listing, now: NaiveDateTime, lead: Lead) -> Statement<BigInt> {
    let limit = COUNT_LIMIT + 1;
    let (route, route_binds) = Route::of(engine, listing, lead);
    let text = format!("SELECT count(*) FROM ({} LIMIT {limit}) f", route.all(engine, "1"));
    let mut binds = listing_binds(engine, listing, now);
    binds.extend(route_binds);
    Statement::new(text, &binds).named("feed_count")
}

/// The images of up to [`MAX_PAGE_SIZE`] flyers, of each flyer in order.
///
/// Always as many binds, so that one text serves every page: a statement with a list of changing length is
/// prepared anew each time, which costs PostgreSQL more than running it.
pub(super) fn images(flyer_ids: &[i64]) -> Statement<super::ImageColumns> {
    let mut ids = flyer_ids.to_vec();
    // No flyer has this id.
    ids.resize(ids.len().max(MAX_PAGE_SIZE as usize), 0);
    Statement::new(
        "SELECT flyer_id, position, url FROM flyer_images WHERE flyer_id IN (:ids) \
         ORDER BY flyer_id, position"
            .to_owned(),
        &[("ids", Value::Ids(ids))],
    )
    .named("images")
}
