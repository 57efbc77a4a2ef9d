//! The pages that are measured, and the limit of each.
//!
//! The benches and the gate both use these lists, so no measured page lacks its check.

use feed_core::db::Engine;

use crate::feeds::searches::{SEARCH_CASES, SELECTIVE, SearchCase};
use crate::feeds::{PagePosition, Variant};
use crate::shapes::Shape;

/// A limit for each engine. The unit depends on its use: milliseconds or a ratio.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// For SQLite.
    pub sqlite: f64,
    /// For PostgreSQL.
    pub postgres: f64,
}

impl Limit {
    const fn new(sqlite: f64, postgres: f64) -> Self {
        Self { sqlite, postgres }
    }

    /// The limit for a shape that is hard on the feeds.
    const fn twice(self) -> Self {
        Self::new(2.0 * self.sqlite, 2.0 * self.postgres)
    }

    /// The limit for an engine.
    pub fn of(self, engine: Engine) -> f64 {
        match engine {
            Engine::Sqlite => self.sqlite,
            Engine::Postgres => self.postgres,
        }
    }
}

/// Which rows of a shape's feed are requested.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Selection {
    /// The whole feed, in one of its variants.
    Feed(Variant),
    /// The flyers that match a search text or lie around a place.
    Found(SearchCase),
}

impl Selection {
    fn name(self) -> String {
        match self {
            Self::Feed(variant) => variant.name(),
            Self::Found(case) => case.name.to_owned(),
        }
    }
}

/// A page of a feed.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Whose feed it is.
    pub shape: Shape,
    /// How the feed is asked for.
    pub question: Selection,
    /// Where on the feed the page is.
    pub spot: PagePosition,
}

/// The first page by a cursor to the start of the feed, which takes no count.
const FIRST: PagePosition = PagePosition::Behind(0);
/// Page 1,000.
const FAR: PagePosition = PagePosition::Behind(999 * 20);
const PLACES: &[PagePosition] = &[FIRST, PagePosition::Middle, PagePosition::Last];
const FAR_TOO: &[PagePosition] = &[FIRST, PagePosition::Middle, PagePosition::Last, FAR];

const PLAIN: Selection = Selection::Feed(Variant::PLAIN);
const NEAR: Selection = Selection::Feed(Variant::NEAR);
const FAVORITED: Selection = Selection::Feed(Variant { favorited: true, ..Variant::PLAIN });
const BY_TIME: &[Selection] = &[PLAIN, FAVORITED];
const BY_FLYER: &[Selection] = &[PLAIN, NEAR];
const ANY: &[Selection] = &[PLAIN, NEAR, FAVORITED];

impl Page {
    /// The criterion id within the group of the page's shape.
    pub fn id(self) -> String {
        let spot = match self.spot {
            FIRST => "first".to_owned(),
            PagePosition::First => "first and count".to_owned(),
            FAR => "page 1000".to_owned(),
            spot => spot.name(),
        };
        format!("{} {spot}", self.question.name()).trim_start().to_owned()
    }

    /// The id in a group that has pages of several shapes.
    pub fn full_id(self) -> String {
        format!("{} {}", self.shape.name(), self.id())
    }
}

/// Pages of one viewer that share a limit. Each cell is a row of the gate's table.
#[derive(Debug)]
pub struct Cell {
    /// The name in the gate's table.
    pub name: &'static str,
    /// Whose feed it is.
    pub shape: Shape,
    questions: &'static [Selection],
    spots: &'static [PagePosition],
    /// The limit in milliseconds. `None` for pages that are only used in ratios.
    pub most: Option<Limit>,
}

impl Cell {
    /// All pages of the cell. Pages of the same question follow each other.
    pub fn pages(&self) -> impl Iterator<Item = Page> {
        let at = |question, spot| Page { shape: self.shape, question, spot };
        self.questions
            .iter()
            .flat_map(move |&question| self.spots.iter().map(move |&spot| at(question, spot)))
    }
}

const HUNDRED: Limit = Limit::new(0.2, 1.0);
const THOUSAND: Limit = Limit::new(1.0, 5.0);
const TEN_THOUSAND: Limit = Limit::new(5.0, 15.0);
const FAVORITES: Limit = Limit::new(0.1, 0.3);
/// 10,000 flyers of the same second, all of which must be sorted by distance.
const SAME_SECOND_NEAR: Limit = Limit::new(20.0, 20.0);
/// Lists with a selective condition: a search of three letters or more with a trigram in fewer than 1 % of the
/// flyers, a relation, or a place.
const ONE_SELECTIVE: Limit = Limit::new(5.0, 10.0);
/// Any other search, and first pages with their count.
const NONE_SELECTIVE: Limit = Limit::new(150.0, 500.0);
/// The count alone, which stops at 1,001.
pub const COUNT: Limit = Limit::new(1.0, 3.0);

const fn cell(
    name: &'static str,
    shape: Shape,
    questions: &'static [Selection],
    spots: &'static [PagePosition],
    most: Option<Limit>,
) -> Cell {
    Cell { name, shape, questions, spots, most }
}

use Shape::{
    All, Empty100, Empty1000, Expired100, Favorites100, Favorites1000, Favorites10000, Favorites100000,
    FavoritesExpired, FavoritesSecond, Follows100, Follows1000, Follows10000, Prolific10, Quiet100,
    Quiet1000, Second100, Valid100,
};

/// All searches and places.
const SEARCHES: &[Selection] = &each(SEARCH_CASES);
/// Those that are selective for every viewer.
const NARROW: &[Selection] = SEARCHES.split_at(SELECTIVE).0;
/// Those that are selective only together with a relation.
const BROAD: &[Selection] = SEARCHES.split_at(SELECTIVE).1;

/// Those with three letters or more, or without a search text.
const LONG: &[Selection] = SEARCHES.split_at(SEARCHES.len() - 1).0;
/// The search of two letters. It has no trigram, so PostgreSQL has no index for it and reads all texts if there are
/// many relations.
const SHORT: &[Selection] = SEARCHES.split_at(SEARCHES.len() - 1).1;

const fn each<const N: usize>(cases: [SearchCase; N]) -> [Selection; N] {
    let mut questions = [PLAIN; N];
    let mut i = 0;
    while i < N {
        questions[i] = Selection::Found(cases[i]);
        i += 1;
    }
    questions
}

/// Pages without a count.
const UNCOUNTED: &[PagePosition] = &[FIRST, PagePosition::Middle];
/// The first page with its count, as the app requests it.
const COUNTED_TOO: &[PagePosition] = &[PagePosition::First];

/// All cells. Shapes that are hard on the feeds follow those that they are compared with.
pub const CELLS: &[Cell] = &[
    cell("all flyers", All, BY_FLYER, &[FIRST, FAR], None),
    cell("following 100", Follows100, BY_FLYER, PLACES, Some(HUNDRED)),
    cell("following 1,000", Follows1000, BY_FLYER, FAR_TOO, Some(THOUSAND)),
    cell("following 10,000", Follows10000, BY_FLYER, PLACES, Some(TEN_THOUSAND)),
    cell("following 100, all quiet", Quiet100, BY_FLYER, PLACES, Some(HUNDRED.twice())),
    cell("following 1,000, all quiet", Quiet1000, BY_FLYER, PLACES, Some(THOUSAND.twice())),
    cell("following 100, no flyers", Empty100, BY_FLYER, &[FIRST], Some(HUNDRED.twice())),
    cell("following 1,000, no flyers", Empty1000, BY_FLYER, &[FIRST], Some(THOUSAND.twice())),
    cell("following 10, prolific", Prolific10, BY_FLYER, PLACES, Some(HUNDRED.twice())),
    cell("following 100, 0.2 % valid", Expired100, BY_FLYER, PLACES, Some(HUNDRED.twice())),
    cell("following 100, all valid", Valid100, BY_FLYER, PLACES, None),
    cell("following 100, same second", Second100, &[PLAIN], PLACES, Some(HUNDRED.twice())),
    cell("following 100, same second, near", Second100, &[NEAR], PLACES, Some(SAME_SECOND_NEAR)),
    cell("favorites 100", Favorites100, ANY, PLACES, Some(FAVORITES)),
    cell("favorites 1,000", Favorites1000, ANY, PLACES, Some(FAVORITES)),
    cell("favorites 10,000", Favorites10000, ANY, PLACES, Some(FAVORITES)),
    cell("favorites 100,000", Favorites100000, ANY, FAR_TOO, Some(FAVORITES)),
    cell("favorites, 0.2 % valid", FavoritesExpired, ANY, PLACES, Some(FAVORITES.twice())),
    cell("favorites, same second", FavoritesSecond, BY_TIME, PLACES, Some(FAVORITES.twice())),
    cell("favorites, same second, near", FavoritesSecond, &[NEAR], PLACES, Some(SAME_SECOND_NEAR)),
    cell("all flyers, selective search or radius", All, NARROW, UNCOUNTED, Some(ONE_SELECTIVE)),
    cell("all flyers, unselective search", All, BROAD, UNCOUNTED, Some(NONE_SELECTIVE)),
    cell("all flyers, search or radius, with count", All, SEARCHES, COUNTED_TOO, Some(NONE_SELECTIVE)),
    cell("following 100, search or radius", Follows100, SEARCHES, UNCOUNTED, Some(ONE_SELECTIVE)),
    cell("following 10,000, search or radius", Follows10000, LONG, UNCOUNTED, Some(ONE_SELECTIVE)),
    cell("following 10,000, search of two letters", Follows10000, SHORT, UNCOUNTED, Some(NONE_SELECTIVE)),
    cell("favorites 100, search or radius", Favorites100, SEARCHES, UNCOUNTED, Some(ONE_SELECTIVE)),
    cell("favorites 10,000, search or radius", Favorites10000, LONG, UNCOUNTED, Some(ONE_SELECTIVE)),
    cell("favorites 10,000, search of two letters", Favorites10000, SHORT, UNCOUNTED, Some(NONE_SELECTIVE)),
    cell(
        "favorites 10,000, search or radius, with count",
        Favorites10000,
        SEARCHES,
        COUNTED_TOO,
        Some(NONE_SELECTIVE),
    ),
];

/// The criterion id of a count, within the group of its shape.
pub const COUNT_ID: &str = "count";

/// The shapes whose counts are measured.
pub const COUNTED: &[Shape] = &[
    All,
    Follows100,
    Follows1000,
    Follows10000,
    Quiet1000,
    Empty1000,
    Expired100,
    Favorites100,
    Favorites1000,
    Favorites10000,
    Favorites100000,
    FavoritesExpired,
];

/// A limit on the ratio of two pages' times in the same run.
#[derive(Debug)]
pub struct Ratio {
    /// The name in the gate's table.
    pub name: &'static str,
    /// The page that may be slower, and the one it is compared with.
    pub pairs: Vec<(Page, Page)>,
    /// The highest ratio.
    pub most: Limit,
}

/// The ratios that the promise of constant cost stands for.
pub fn ratios() -> Vec<Ratio> {
    vec![
        Ratio {
            name: "page 1,000 to page 1",
            // The main feed only without a location: among 100,000 flyers its page 1,000 is in the second that has
            // 10,000 flyers.
            pairs: [(All, &[PLAIN][..]), (Follows1000, BY_FLYER), (Favorites100000, ANY)].map(far).concat(),
            most: Limit::new(1.2, 1.2),
        },
        Ratio {
            name: "following 10,000 to 100",
            pairs: same_places(Follows10000, Follows100, BY_FLYER),
            // The ratio of the limits in the table.
            most: Limit::new(TEN_THOUSAND.sqlite / HUNDRED.sqlite, TEN_THOUSAND.postgres / HUNDRED.postgres),
        },
        Ratio {
            name: "favorites 10,000 to 100",
            pairs: same_places(Favorites10000, Favorites100, ANY),
            most: Limit::new(1.5, 1.5),
        },
        Ratio {
            name: "quiet to active follows",
            pairs: [(Quiet100, Follows100), (Quiet1000, Follows1000)]
                .map(|(quiet, active)| same_places(quiet, active, BY_FLYER))
                .concat(),
            most: Limit::new(2.0, 2.0),
        },
        Ratio {
            name: "0.2 % to 100 % valid",
            pairs: [(Expired100, Valid100, BY_FLYER), (FavoritesExpired, Favorites10000, ANY)]
                .map(|(expired, valid, questions)| same_places(expired, valid, questions))
                .concat(),
            most: Limit::new(2.0, 2.0),
        },
    ]
}

/// Pairs of page 1,000 and page 1.
fn far((shape, questions): (Shape, &[Selection])) -> Vec<(Page, Page)> {
    let page = |question, spot| Page { shape, question, spot };
    questions.iter().map(|&question| (page(question, FAR), page(question, FIRST))).collect()
}

/// Pairs of two shapes' pages at the same position.
fn same_places(much: Shape, little: Shape, questions: &[Selection]) -> Vec<(Page, Page)> {
    let pair = |question, spot| {
        let page = |shape| Page { shape, question, spot };
        (page(much), page(little))
    };
    questions.iter().flat_map(|&question| PLACES.iter().map(move |&spot| pair(question, spot))).collect()
}

/// The pages that the bare driver reads too. They have no location, because the bare driver lacks the distance
/// function.
pub const DRIVEN: &[Page] = &[
    Page { shape: All, question: PLAIN, spot: FIRST },
    Page { shape: Follows100, question: PLAIN, spot: FIRST },
    Page { shape: Follows1000, question: PLAIN, spot: PagePosition::Middle },
    Page { shape: Follows10000, question: PLAIN, spot: PagePosition::Middle },
    Page { shape: Favorites1000, question: PLAIN, spot: FIRST },
    Page { shape: Favorites100000, question: FAVORITED, spot: PagePosition::Middle },
];

/// The criterion group of the same pages by our code (`ours`) and by the bare driver (`bare`).
pub const OVERHEAD_GROUP: &str = "overhead";

/// The limit on the ratio of our code to the bare driver, for the same statements.
pub const OVERHEAD: Limit = Limit::new(1.5, 1.5);

/// The criterion group of the writes. They have no limit.
pub const WRITES_GROUP: &str = "writes";
/// The criterion id of each write.
pub const WRITES: [&str; 3] = ["favorite", "follow", "publish"];
