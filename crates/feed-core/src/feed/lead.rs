//! What leads to a page: which of the indexes that could find its flyers is walked, while the others only filter.
//!
//! A feed that is neither searched nor asked near a place is walked by its own index. Else there are up to three ways:
//! - the *feed*: the index of the feed's own order, or of its relations. It ends after the page where what is asked is
//!   frequent, and goes through all of the feed where nothing is found;
//! - the *place*: the lists of the cells around it, see [`super::merge`]. They end as soon, and go through all
//!   that lies around at most;
//! - the *text*: the trigrams of the search, see [`super::search`]. It goes through all that have them at most.
//!
//! Where that does not follow from the question, a *survey* tells, one statement of bounded cost. It counts the flyers that
//! the feed's relations lead to, up to [`FEW`]: few are looked at one by one. Only where they are more, it counts how
//! many of [`SAMPLE`] flyers, evenly spread over all there are and without those that are over, lie around the place and
//! are found by the search, and then what lies around the place, up to [`FEW`]. What a sample often has is found soon by
//! whatever is walked; what it has seldom or never is a short list of its own.
//!
//! Every way gives the same page; the survey only says which is the cheapest.

use diesel::sql_types::BigInt;

use super::keys::{is_near, listing_binds, unmarked};
use super::merge::Lists;
use super::{Feed, Listing};
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

/// So few rows have their texts looked at, one by one.
const FEW_TEXTS: u32 = 1_000;
/// So few rows have their places looked at.
const FEW_PLACES: u32 = 5_000;
/// Rows are counted so far. To pass by as many takes less than what may lead nowhere in a list that knows no end.
const FEW: u32 = 10_000;
/// As many follows as have their flyers counted.
const FEW_FOLLOWS: u32 = 2_000;
/// As many flyers are the sample.
const SAMPLE: i64 = 256;

/// Hits in the sample below which texts are hardly there: they are fewer than what lies around most places.
const HARDLY: i64 = 2;
/// Hits in the sample below which something is seldom: 2 % of all flyers. From there on, a walk of flyers has a page
/// of it within a thousand.
const SELDOM: i64 = 6;
/// The same for 10 %. To count a thousand of it, a walk goes past ten thousand.
const RATHER_SELDOM: i64 = 26;
/// The same for 25 %: many lists have one each among their first few.
const NOT_OFTEN: i64 = 64;

/// The columns of a survey.
pub type SurveyColumns = (BigInt, BigInt, BigInt, BigInt);

/// What a survey tells, each number as far as it was counted.
#[derive(Debug, Clone, Copy, diesel::Queryable)]
pub struct Survey {
    /// Flyers that the feed's relations lead to.
    relations: i64,
    /// Flyers in the cells around the place.
    around: i64,
    /// Of the sample, those within the circle.
    near: i64,
    /// Of the sample, those with the text.
    searched: i64,
}

impl Listing {
    /// Whether anything but the feed itself can lead to it.
    ///
    /// Not to a creator's own flyers, which may be over: the others have none of those.
    pub(super) fn has_other_leads(&self) -> bool {
        !self.feed.is_own()
    }

    fn is_near(&self) -> bool {
        self.circle().is_some()
    }

    /// Whether it is searched for what the engine's index can find.
    fn has_trigrams(&self, engine: Engine) -> bool {
        self.search.as_deref().is_some_and(|search| text::has_trigrams(engine, search))
    }

    /// Whether the text leads through all texts there are: nothing of PostgreSQL's finds one or two
    /// letters, or what is no word.
    fn reads_all_texts(&self, engine: Engine) -> bool {
        engine == Engine::Postgres && self.search.is_some() && !self.has_trigrams(engine)
    }

    /// So few rows of the feed are asked one by one, whatever else there is.
    fn few_relations(&self) -> u32 {
        if self.search.is_some() { FEW_TEXTS } else { FEW_PLACES }
    }

    /// What leads to this list where that follows from the question alone.
    #[must_use]
    pub fn leads(&self) -> Option<Leads> {
        match (self.feed, self.is_near(), self.search.is_some()) {
            (_, false, false) => Some(Lead::Feed.into()),
            _ if !self.has_other_leads() => Some(Lead::Feed.into()),
            (Feed::All(_), true, false) => Some(Lead::Place.into()),
            _ => None,
        }
    }

    /// Hits in the sample below which what leads is a short list, whatever else there is. In the order of the favorites
    /// all of it is gathered for each page.
    fn seldom(&self) -> i64 {
        if matches!(self.feed, Feed::Favorited(_)) { HARDLY } else { SELDOM }
    }

    /// Hits in the sample below which the text leads.
    fn seldom_text(&self, engine: Engine, survey: Survey) -> i64 {
        match (self.feed, engine) {
            _ if !self.has_trigrams(engine) => self.seldom(),
            // In the feed's order, as all that lies around the place is: the shorter way to a page is that of what is
            // the more seldom.
            (Feed::All(_) | Feed::Following(_), Engine::Sqlite) if self.is_near() => survey.near.max(SELDOM),
            // It knows no lists that nothing is in. Where many flyers have it, many creators may be named like it.
            (Feed::All(_) | Feed::Following(_), Engine::Sqlite) => NOT_OFTEN,
            // In no order: but the others would walk far in many lists.
            (Feed::Following(_), Engine::Postgres) => RATHER_SELDOM,
            (Feed::All(_), Engine::Postgres) if self.is_near() => RATHER_SELDOM,
            _ => self.seldom(),
        }
    }

    /// What leads to this list, by a survey.
    #[must_use]
    pub fn leads_by(&self, engine: Engine, survey: Survey) -> Leads {
        let is_all = matches!(self.feed, Feed::All(_));
        let seldom_near = match self.feed {
            Feed::Following(_) => NOT_OFTEN,
            // Few of the flyers around are favorites.
            Feed::Favorites(_) => HARDLY,
            _ => self.seldom(),
        };
        let is_searched = self.search.is_some();
        let is_favorites = matches!(self.feed, Feed::Favorites(_) | Feed::Favorited(_));
        let few_around = if is_searched && survey.searched < HARDLY { FEW_PLACES } else { FEW };
        let page = if !is_all && survey.relations < self.few_relations().into() {
            Lead::Feed
        } else if self.is_near() && survey.around < few_around.into() {
            Lead::Place
        } else if is_searched && survey.searched < self.seldom() && !self.reads_all_texts(engine) {
            Lead::Text
        } else if !is_all && survey.relations < FEW.into() || is_favorites && self.reads_all_texts(engine) {
            Lead::Feed
        } else if is_searched && survey.searched < self.seldom_text(engine, survey) {
            Lead::Text
        } else if self.is_near() && survey.near < seldom_near {
            Lead::Place
        } else {
            Lead::Feed
        };
        let counts_texts = is_all && page == Lead::Feed && self.has_trigrams(engine) && !self.is_near();
        let count = if counts_texts && survey.searched < RATHER_SELDOM { Lead::Text } else { page };
        Leads { page, count }
    }
}

/// Looks what leads to a list: one row, of which nothing costs more than some thousand rows of an index, but for a circle
/// of hundreds of kilometres by a pole, which has ten thousand cells.
#[must_use]
pub fn survey_query(engine: Engine, listing: &Listing) -> Statement<SurveyColumns> {
    let relations = relations(engine, listing.feed);
    let mut binds = listing_binds(engine, listing, chrono::NaiveDateTime::default());
    let around = listing.circle().map_or_else(
        || "0".to_owned(),
        |circle| {
            let cover = circle.cover();
            binds.push(("cells", Value::Text(Lists::cells(engine, &cover.cells))));
            let flyers = Lists::Cells(cover.grid).all(engine, &unmarked("f."));
            let limit = match listing.search {
                None => FEW.to_string(),
                Some(_) => format!(
                    "(SELECT CASE WHEN searched < {HARDLY} THEN {FEW_PLACES} ELSE {FEW} END FROM s LIMIT 1)"
                ),
            };
            format!("(SELECT count(*) FROM (SELECT 1 FROM {flyers} LIMIT {limit}) f)")
        },
    );
    let (few, sample) = (listing.few_relations(), sample(engine, listing));
    Statement::new(
        format!(
            "WITH r AS MATERIALIZED (SELECT {relations} AS n), \
             s AS MATERIALIZED (SELECT coalesce(sum(near) * {SAMPLE} / count(*), 0) AS near, \
             coalesce(sum(searched) * {SAMPLE} / count(*), 0) AS searched FROM {sample} HAVING count(*) > 0 \
             UNION ALL SELECT 0, 0), \
             p AS MATERIALIZED (SELECT CASE WHEN n < {few} THEN 0 ELSE {around} END AS n FROM r) \
             SELECT CAST(r.n AS bigint), CAST(p.n AS bigint), CAST(s.near AS bigint), CAST(s.searched AS bigint) \
             FROM r, p, s LIMIT 1"
        ),
        &binds,
    )
    .named("feed_survey")
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

/// Some flyers, evenly spread over all ids that were given: whether each is `near` and has the text that is `searched`,
/// as 1 or 0. None where the relations are few, and less where flyers are over or were deleted.
fn sample(engine: Engine, listing: &Listing) -> String {
    let (last, few) = (SAMPLE - 1, listing.few_relations());
    let numbers = match engine {
        Engine::Sqlite => format!(
            "(WITH RECURSIVE n (i) AS (SELECT 0 FROM r WHERE r.n >= {few} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) \
             SELECT i FROM n) n"
        ),
        Engine::Postgres => {
            format!("generate_series(0, (SELECT {last} FROM r WHERE r.n >= {few})) AS n (i)")
        }
    };
    let end = |order: &str| format!("(SELECT f.id FROM flyers f ORDER BY f.id {order} LIMIT 1)");
    let ends = format!("(SELECT {} AS first, {} AS last LIMIT 1) e", end("ASC"), end("DESC"));
    // By the golden ratio: equal steps would be in step with what comes back at equal intervals.
    let flyer = "e.first + CAST((e.last - e.first) * (n.i * 618034 % 1000000 / 1000000.0) AS bigint)";
    let hit = |condition: String| format!("CASE WHEN {condition} THEN 1 ELSE 0 END");
    let near = if listing.circle().is_some() { hit(is_near(engine)) } else { "0".to_owned() };
    let searched = if listing.search.is_some() { hit(text::finds(engine)) } else { "0".to_owned() };
    let shown = unmarked("f.");
    let flyers = match engine {
        Engine::Sqlite => {
            format!("{ends} CROSS JOIN {numbers} CROSS JOIN flyers f WHERE f.id = {flyer} AND {shown}")
        }
        Engine::Postgres => format!(
            "{ends} CROSS JOIN {numbers} CROSS JOIN LATERAL (SELECT * FROM flyers f WHERE f.id = {flyer} OFFSET 0) f \
             WHERE {shown}"
        ),
    };
    format!("(SELECT {near} AS near, {searched} AS searched FROM {flyers}) f")
}
