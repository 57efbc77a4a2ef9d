//! Which index finds the flyers of a page.
//!
//! A list without a search and a radius has one access path: the index of the feed. The others have up to three:
//! - `Feed` scans the index of the feed's own order, or of its relations, and filters. It ends after a page where
//!   matches are frequent. Where there are none it reads the whole feed.
//! - `Place` merges the lists of the grid cells around the location. It reads at most what lies around there.
//! - `Text` looks up the trigrams of the search. It reads at most the texts that contain them.
//!
//! Every path gives the same page, so the choice is a matter of cost alone. Where the request does not tell which path
//! is the cheapest, a *survey* does: one statement of bounded cost, see [`super::survey_query`]. It counts the flyers
//! that the feed's relations lead to, up to [`MANY_ROWS`]. Where these are not few, it also counts the matches in a
//! sample of [`SAMPLE`] flyers, and the flyers around the location up to [`MANY_ROWS`].

use super::listing::{Feed, Listing};
use crate::engine::Engine;
use crate::text;

/// Which index finds the flyers of a page. The other conditions only filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccessPath {
    /// The index of the feed's own order or of its relations.
    Feed,
    /// The indexes of grid cells.
    Place,
    /// The index of trigrams.
    Text,
}

/// The access paths of a page and of its count, which may differ: a count needs no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessPaths {
    /// Of the page.
    pub page: AccessPath,
    /// Of the count.
    pub count: AccessPath,
}

impl From<AccessPath> for AccessPaths {
    fn from(path: AccessPath) -> Self {
        Self { page: path, count: path }
    }
}

/// Fewer relations than these are compared with a search one by one.
const FEW_TEXTS: u32 = 1_000;
/// Fewer relations than these are compared with a circle one by one.
pub(super) const FEW_PLACES: u32 = 5_000;
/// The survey counts rows up to here. Scanning as many rows costs less than a scan that never fills a page.
pub(super) const MANY_ROWS: u32 = 10_000;
/// The survey counts the flyers of up to this many followed creators.
pub(super) const MANY_FOLLOWS: u32 = 2_000;
/// The size of the survey's sample.
pub(super) const SAMPLE: i64 = 256;

/// Fewer matches in the sample than these: there are fewer matches than flyers around most places.
pub(super) const HARDLY_ANY: i64 = 2;
/// 2 % of the sample. Above it, a scan finds a page of matches among a thousand flyers.
const RARE: i64 = 6;
/// 10 % of the sample. Below it, a scan that counts a thousand matches reads more than ten thousand flyers.
const UNCOMMON: i64 = 26;
/// 25 % of the sample. Above it, most lists of a merge have a match among their first few rows.
const COMMON: i64 = 64;

/// The result of a survey.
#[derive(Debug, Clone, Copy, diesel::Queryable)]
pub struct Survey {
    /// Flyers that the feed's relations lead to, up to [`MANY_ROWS`].
    relations: i64,
    /// Flyers in the cells around the location, up to [`MANY_ROWS`]; 0 where the relations are few.
    around: i64,
    /// Flyers of the sample that lie within the circle.
    near: i64,
    /// Flyers of the sample that match the search.
    searched: i64,
}

impl Listing {
    /// Whether the list has any access path but `Feed`.
    ///
    /// A creator's own list shows expired flyers, which the other indexes leave out.
    pub(super) fn has_other_paths(&self) -> bool {
        !self.feed.is_own()
    }

    fn is_near(&self) -> bool {
        self.circle().is_some()
    }

    /// Whether the engine's index of trigrams can find the search.
    fn has_trigrams(&self, engine: Engine) -> bool {
        self.search.as_deref().is_some_and(|search| text::has_trigrams(engine, search))
    }

    /// Whether the path `Text` reads all texts.
    ///
    /// PostgreSQL's index finds no search of one or two letters, and none without a word.
    fn reads_all_texts(&self, engine: Engine) -> bool {
        engine == Engine::Postgres && self.search.is_some() && !self.has_trigrams(engine)
    }

    /// Fewer relations than these are looked at one by one, whatever else is asked.
    pub(super) fn few_relations(&self) -> u32 {
        if self.search.is_some() { FEW_TEXTS } else { FEW_PLACES }
    }

    /// The access paths, where the request alone tells them.
    #[must_use]
    pub fn access_paths(&self) -> Option<AccessPaths> {
        match (self.feed, self.is_near(), self.search.is_some()) {
            (_, false, false) => Some(AccessPath::Feed.into()),
            _ if !self.has_other_paths() => Some(AccessPath::Feed.into()),
            (Feed::All(_), true, false) => Some(AccessPath::Place.into()),
            _ => None,
        }
    }

    /// Fewer matches in the sample than these make a short list of their own.
    ///
    /// In the order of favorites all matches are gathered and sorted for each page, so only a very short one pays off.
    fn rare(&self) -> i64 {
        if self.is_by_favorite() { HARDLY_ANY } else { RARE }
    }

    /// Fewer matches of the search in the sample than these make `Text` cheaper than `Feed`.
    fn rare_text(&self, engine: Engine, survey: Survey) -> i64 {
        match (self.feed, engine) {
            _ if !self.has_trigrams(engine) => self.rare(),
            // Both paths are in the feed's order. The one with fewer matches is the shorter one.
            (Feed::All(_) | Feed::Following(_), Engine::Sqlite) if self.is_near() => survey.near.max(RARE),
            // The text index has no empty lists to probe. But where many texts match, many names may match too, and
            // their lists are merged.
            (Feed::All(_) | Feed::Following(_), Engine::Sqlite) => COMMON,
            // The text index has no order, but the other paths would scan far in many lists.
            (Feed::Following(_), Engine::Postgres) => UNCOMMON,
            (Feed::All(_), Engine::Postgres) if self.is_near() => UNCOMMON,
            _ => self.rare(),
        }
    }

    /// Fewer flyers of the sample within the circle than these make `Place` cheaper than `Feed`.
    fn rare_place(&self) -> i64 {
        match self.feed {
            Feed::Following(_) => COMMON,
            // Few of the flyers around a place are favorites.
            Feed::Favorites(_) => HARDLY_ANY,
            _ => self.rare(),
        }
    }

    /// The access paths by a survey.
    #[must_use]
    pub fn access_paths_by(&self, engine: Engine, survey: Survey) -> AccessPaths {
        use AccessPath::{Feed as ByFeed, Place as ByPlace, Text as ByText};

        let is_all = matches!(self.feed, Feed::All(_));
        let is_favorites = matches!(self.feed, Feed::Favorites(_));
        let (is_near, is_searched) = (self.is_near(), self.search.is_some());
        let few_around = if is_searched && survey.searched < HARDLY_ANY { FEW_PLACES } else { MANY_ROWS };
        // The first line that applies decides.
        let choices = [
            // Few relations: each is looked at.
            (!is_all && survey.relations < self.few_relations().into(), ByFeed),
            // Few flyers around the place: each is looked at.
            (is_near && survey.around < few_around.into(), ByPlace),
            // Few matching texts, which the index finds.
            (is_searched && survey.searched < self.rare() && !self.reads_all_texts(engine), ByText),
            // A moderate number of relations: cheaper than any path that may have no end.
            (!is_all && survey.relations < MANY_ROWS.into(), ByFeed),
            // All texts would be read: the favorites are fewer.
            (is_favorites && self.reads_all_texts(engine), ByFeed),
            // Texts that match rarely enough for this feed and engine.
            (is_searched && survey.searched < self.rare_text(engine, survey), ByText),
            // Places that match rarely enough for this feed.
            (is_near && survey.near < self.rare_place(), ByPlace),
            // Matches are frequent: a scan of the feed soon fills a page.
            (true, ByFeed),
        ];
        let page = choices.into_iter().find_map(|(applies, path)| applies.then_some(path)).unwrap_or(ByFeed);
        // A count reads a thousand matches, not a page of them.
        let counts_texts = is_all && page == ByFeed && self.has_trigrams(engine) && !is_near;
        let count = if counts_texts && survey.searched < UNCOMMON { ByText } else { page };
        AccessPaths { page, count }
    }
}
