//! What leads to a page: which of the indexes that could find its flyers is walked, while the others only filter.
//!
//! A feed that is neither searched nor asked near a place is walked by its own index. Else there are up to three ways:
//! - the *feed*: the index of the feed's own order, or of its relations. It ends after the page where what is asked is
//!   frequent, and goes through all of the feed where nothing is found;
//! - the *place*: the lists of the cells around it, see [`super::merge`]. They end as soon, and go through all
//!   that lies around at most;
//! - the *text*: the trigrams of the search, see [`super::search`]. It goes through all that have them at most.
//!
//! What is shorter leads. Where that does not follow from the question, a *survey* tells, one statement of bounded cost:
//! it counts the feed's relations up to [`FEW`], and only where they are more, what lies around the place up to
//! [`FEW`], and how many of [`SAMPLE`] flyers, evenly spread over all there are, have the text. So many that a sample
//! has some are found soon by whatever is walked; where it has none, the text's own list is short.
//!
//! Every way gives the same page; the survey only says which is the cheapest.

use diesel::sql_types::BigInt;

use super::keys::listing_binds;
use super::merge::Lists;
use super::{Feed, Listing, search};
use crate::db::Engine;
use crate::sql::{Statement, Value, by_index};
use crate::text;

/// Where a page's flyers are sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lead {
    /// In the feed's own order.
    Feed,
    /// Around the place.
    Place,
    /// By the text that is searched.
    Text,
}

/// What leads to a list's pages, and to its count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leads {
    /// To a page.
    pub page: Lead,
    /// To the count, which needs no order.
    pub count: Lead,
}

impl From<Lead> for Leads {
    fn from(lead: Lead) -> Self {
        Self { page: lead, count: lead }
    }
}

/// So few rows are looked at one by one.
const FEW: u32 = 1_000;
/// As many follows as have their flyers counted.
const FEW_FOLLOWS: u32 = 200;
/// As many flyers are asked for the text.
const SAMPLE: i64 = 256;
/// Hits in the sample from which a text is frequent, about 2 % of all: a page of it lies within a thousand flyers.
const FREQUENT: i64 = 6;
/// Hits from which a count that goes by recency ends within ten thousand flyers.
const VERY_FREQUENT: i64 = 26;

/// The columns of a survey.
pub type SurveyColumns = (BigInt, BigInt, BigInt);

/// What a survey tells, each number as far as it was counted.
#[derive(Debug, Clone, Copy, diesel::Queryable)]
pub struct Survey {
    relations: i64,
    around: i64,
    hits: i64,
}

impl Listing {
    /// Whether anything but the feed itself can lead to it.
    ///
    /// Not where it is in the order of the favorites, which no index of flyers knows; and not to a creator's own
    /// flyers, which may be over: the others have none of those.
    pub(super) fn has_other_leads(&self) -> bool {
        !matches!(self.feed, Feed::Favorited(_)) && !self.feed.is_own()
    }

    /// What leads to this list where that follows from the question alone.
    #[must_use]
    pub fn leads(&self, engine: Engine) -> Option<Leads> {
        let is_long = self.search.as_deref().is_some_and(search::is_long);
        match (self.feed, self.circle().is_some(), self.search.is_some()) {
            (_, false, false) => Some(Lead::Feed.into()),
            _ if !self.has_other_leads() => Some(Lead::Feed.into()),
            (Feed::All(_), true, false) => Some(Lead::Place.into()),
            // SQLite's trigrams are in the feed's order: they end as soon as the feed itself.
            (Feed::All(_), false, true) if engine == Engine::Sqlite && is_long => Some(Lead::Text.into()),
            _ => None,
        }
    }

    /// What leads to this list, by a survey.
    #[must_use]
    pub fn leads_by(&self, engine: Engine, survey: Survey) -> Leads {
        let Survey { relations, around, hits } = survey;
        let (near, searched) = (self.circle().is_some(), self.search.is_some());
        let is_all = matches!(self.feed, Feed::All(_));
        let page = if !is_all && relations < FEW.into() {
            Lead::Feed
        } else if near && around < FEW.into() {
            Lead::Place
        } else if searched && hits < FREQUENT {
            Lead::Text
        } else if is_all && near {
            Lead::Place
        } else {
            Lead::Feed
        };
        let is_long = self.search.as_deref().is_some_and(search::is_long);
        let by_text = engine == Engine::Postgres && is_all && !near && is_long && hits < VERY_FREQUENT;
        Leads { page, count: if by_text { Lead::Text } else { page } }
    }
}

/// Looks what leads to a list: one row, of which nothing costs more than some thousand rows of an index.
#[must_use]
pub fn survey_query(engine: Engine, listing: &Listing) -> Statement<SurveyColumns> {
    let relations = relations(engine, listing.feed);
    let mut binds = listing_binds(engine, listing, chrono::NaiveDateTime::default());
    let around = listing.circle().map_or_else(
        || "0".to_owned(),
        |circle| {
            let cover = circle.cover();
            binds.push(("cells", Value::Text(Lists::cells(engine, &cover.cells))));
            let flyers = Lists::Cells(cover.grid).all(engine);
            let unmarked = super::keys::unmarked("f.");
            format!("(SELECT count(*) FROM (SELECT 1 FROM {flyers} {unmarked} LIMIT {FEW}) f)")
        },
    );
    let hits = if listing.search.is_some() { sample(engine) } else { "0".to_owned() };
    let where_many = |what: &str| format!("CASE WHEN r.n < {FEW} THEN 0 ELSE {what} END");
    Statement::new(
        format!(
            "WITH r AS MATERIALIZED (SELECT {relations} AS n) \
             SELECT CAST(r.n AS bigint), CAST({} AS bigint), CAST({} AS bigint) FROM r",
            where_many(&around),
            where_many(&hits)
        ),
        &binds,
    )
}

/// How many flyers the relations of a feed lead to, up to a limit.
fn relations(engine: Engine, feed: Feed) -> String {
    let of_creators = by_index(engine, "flyers f", "flyers_creator_recent");
    match feed {
        Feed::All(_) => format!("{FEW}"),
        Feed::Favorites(_) | Feed::Favorited(_) => {
            let favorites = by_index(engine, "favorites v", "favorites_feed");
            format!(
                "(SELECT count(*) FROM (SELECT 1 FROM {favorites} WHERE v.user_id = :viewer \
                 AND v.flyer_expired = FALSE LIMIT {FEW}) v)"
            )
        }
        Feed::Following(_) => {
            let follows = "SELECT w.followed_id FROM follows w WHERE w.follower_id = :viewer";
            let flyers = by_index(engine, "flyers f", "flyers_creator_feed");
            format!(
                "CASE WHEN (SELECT count(*) FROM ({follows} LIMIT {FEW_FOLLOWS}) w) = {FEW_FOLLOWS} THEN {FEW} ELSE \
                 (SELECT count(*) FROM (SELECT 1 FROM ({follows} LIMIT {FEW_FOLLOWS}) w CROSS JOIN {flyers} \
                 WHERE f.creator_id = w.followed_id AND f.expired = FALSE LIMIT {FEW}) f) END"
            )
        }
        Feed::Creator { .. } => format!(
            "(SELECT count(*) FROM (SELECT 1 FROM {of_creators} WHERE f.creator_id = :creator LIMIT {FEW}) f)"
        ),
    }
}

/// How many of some flyers, evenly spread over all by their ids, have the text.
fn sample(engine: Engine) -> String {
    let end =
        |order: &str| format!("(SELECT t.flyer_id FROM flyer_texts t ORDER BY t.flyer_id {order} LIMIT 1)");
    let last = SAMPLE - 1;
    let numbers = match engine {
        Engine::Sqlite => format!(
            "(WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {last}) SELECT i FROM n) n"
        ),
        Engine::Postgres => format!("generate_series(0, {last}) AS n (i)"),
    };
    let text = "(SELECT t.text FROM flyer_texts t \
                WHERE t.flyer_id >= e.first + (e.last - e.first) * n.i / {last} ORDER BY t.flyer_id LIMIT 1)"
        .replace("{last}", &last.to_string());
    let holds = text::holds(engine, &text);
    let (first, last) = (end("ASC"), end("DESC"));
    format!(
        "(SELECT count(*) FROM (SELECT {first} AS first, {last} AS last LIMIT 1) e CROSS JOIN {numbers} WHERE {holds})"
    )
}
