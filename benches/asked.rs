//! The speed that is asked for: which pages are measured, and how fast each has to be.
//!
//! The benches measure what stands here and the gate judges it, so that neither can lack what the other has.
#![allow(dead_code, reason = "each bench that includes this module uses a part of it")]

use feed_core::db::Engine;

use crate::pages::{Spot, Variant};
use crate::shapes::Shape;

/// A limit for each engine.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    pub sqlite: f64,
    pub postgres: f64,
}

impl Limit {
    const fn new(sqlite: f64, postgres: f64) -> Self {
        Self { sqlite, postgres }
    }

    /// What an adversarial shape may take.
    const fn twice(self) -> Self {
        Self::new(2.0 * self.sqlite, 2.0 * self.postgres)
    }

    pub fn of(self, engine: Engine) -> f64 {
        match engine {
            Engine::Sqlite => self.sqlite,
            Engine::Postgres => self.postgres,
        }
    }
}

/// A page of a feed, reached by cursor, and so without its count.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    pub shape: Shape,
    pub variant: Variant,
    pub spot: Spot,
}

/// The first page: by a cursor to the start, as a page by its number would be counted too.
const FIRST: Spot = Spot::Behind(0);
/// Page 1,000.
const FAR: Spot = Spot::Behind(999 * 20);
const PLACES: &[Spot] = &[FIRST, Spot::Middle, Spot::Last];
const FAR_TOO: &[Spot] = &[FIRST, Spot::Middle, Spot::Last, FAR];

const FAVORITED: Variant = Variant { favorited: true, ..Variant::PLAIN };
const BY_TIME: &[Variant] = &[Variant::PLAIN, FAVORITED];
const BY_FLYER: &[Variant] = &[Variant::PLAIN, Variant::NEAR];
const ANY: &[Variant] = &[Variant::PLAIN, Variant::NEAR, FAVORITED];

impl Page {
    /// The criterion id within the group of the page's shape.
    pub fn id(self) -> String {
        let spot = match self.spot {
            FIRST => "first".to_owned(),
            FAR => "page 1000".to_owned(),
            spot => spot.name(),
        };
        format!("{} {spot}", self.variant.name()).trim_start().to_owned()
    }

    /// The id where pages of many shapes are together.
    pub fn full_id(self) -> String {
        format!("{} {}", self.shape.name(), self.id())
    }
}

/// Pages of one viewer that must all be equally fast: a cell of the table.
#[derive(Debug)]
pub struct Cell {
    pub name: &'static str,
    pub shape: Shape,
    variants: &'static [Variant],
    spots: &'static [Spot],
    /// Milliseconds; none where only ratios are asked.
    pub most: Option<Limit>,
}

impl Cell {
    /// Every page of the cell, those of a variant one after the other.
    pub fn pages(&self) -> impl Iterator<Item = Page> {
        let at = |variant, spot| Page { shape: self.shape, variant, spot };
        self.variants.iter().flat_map(move |&variant| self.spots.iter().map(move |&spot| at(variant, spot)))
    }
}

const HUNDRED: Limit = Limit::new(0.2, 1.0);
const THOUSAND: Limit = Limit::new(1.0, 5.0);
const TEN_THOUSAND: Limit = Limit::new(5.0, 15.0);
const FAVORITES: Limit = Limit::new(0.1, 0.3);
/// 10,000 flyers of the same second, all of which must be sorted by distance.
const SAME_SECOND_NEAR: Limit = Limit::new(20.0, 20.0);
/// The capped count.
pub const COUNT: Limit = Limit::new(1.0, 3.0);

const fn cell(
    name: &'static str,
    shape: Shape,
    variants: &'static [Variant],
    spots: &'static [Spot],
    most: Option<Limit>,
) -> Cell {
    Cell { name, shape, variants, spots, most }
}

use Shape::{
    All, Empty100, Empty1000, Expired100, Favorites100, Favorites1000, Favorites10000, Favorites100000,
    FavoritesExpired, FavoritesSecond, Follows100, Follows1000, Follows10000, Prolific10, Quiet100,
    Quiet1000, Second100, Valid100,
};

/// The table. Adversarial shapes stand behind what they are compared with.
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
    cell("following 100, same second", Second100, &[Variant::PLAIN], PLACES, Some(HUNDRED.twice())),
    cell("following 100, same second, near", Second100, &[Variant::NEAR], PLACES, Some(SAME_SECOND_NEAR)),
    cell("favorites 100", Favorites100, ANY, PLACES, Some(FAVORITES)),
    cell("favorites 1,000", Favorites1000, ANY, PLACES, Some(FAVORITES)),
    cell("favorites 10,000", Favorites10000, ANY, PLACES, Some(FAVORITES)),
    cell("favorites 100,000", Favorites100000, ANY, FAR_TOO, Some(FAVORITES)),
    cell("favorites, 0.2 % valid", FavoritesExpired, ANY, PLACES, Some(FAVORITES.twice())),
    cell("favorites, same second", FavoritesSecond, BY_TIME, PLACES, Some(FAVORITES.twice())),
    cell("favorites, same second, near", FavoritesSecond, &[Variant::NEAR], PLACES, Some(SAME_SECOND_NEAR)),
];

/// What the bench of a count is called, within the group of its shape.
pub const COUNT_ID: &str = "count";

/// Whose feeds are counted.
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

/// How much more than another page a page may take, in the same run.
#[derive(Debug)]
pub struct Ratio {
    pub name: &'static str,
    /// The page that may be dearer, and the other one.
    pub pairs: Vec<(Page, Page)>,
    pub most: Limit,
}

/// The ratios that are the promise.
pub fn ratios() -> Vec<Ratio> {
    vec![
        Ratio {
            name: "page 1,000 to page 1",
            // Of the main feed without a location: among 100,000 flyers its page 1,000 lies in the second of 10,000.
            pairs: [(All, &[Variant::PLAIN][..]), (Follows1000, BY_FLYER), (Favorites100000, ANY)]
                .map(far)
                .concat(),
            most: Limit::new(1.2, 1.2),
        },
        Ratio {
            name: "following 10,000 to 100",
            pairs: same_places(Follows10000, Follows100, BY_FLYER),
            // As in the table.
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
                .map(|(expired, valid, variants)| same_places(expired, valid, variants))
                .concat(),
            most: Limit::new(2.0, 2.0),
        },
    ]
}

/// Page 1,000 and page 1.
fn far((shape, variants): (Shape, &[Variant])) -> Vec<(Page, Page)> {
    let page = |variant, spot| Page { shape, variant, spot };
    variants.iter().map(|&variant| (page(variant, FAR), page(variant, FIRST))).collect()
}

/// The pages of two shapes at the same places.
fn same_places(much: Shape, little: Shape, variants: &[Variant]) -> Vec<(Page, Page)> {
    let pair = |variant, spot| {
        let page = |shape| Page { shape, variant, spot };
        (page(much), page(little))
    };
    variants.iter().flat_map(|&variant| PLACES.iter().map(move |&spot| pair(variant, spot))).collect()
}

/// The pages that the bare driver reads too. Without a location: it does not have the distance function.
pub const DRIVEN: &[Page] = &[
    Page { shape: All, variant: Variant::PLAIN, spot: FIRST },
    Page { shape: Follows100, variant: Variant::PLAIN, spot: FIRST },
    Page { shape: Follows1000, variant: Variant::PLAIN, spot: Spot::Middle },
    Page { shape: Follows10000, variant: Variant::PLAIN, spot: Spot::Middle },
    Page { shape: Favorites1000, variant: Variant::PLAIN, spot: FIRST },
    Page { shape: Favorites100000, variant: FAVORITED, spot: Spot::Middle },
];

/// The criterion group of the same pages by our code (`ours`) and by the bare driver (`bare`).
pub const OVERHEAD_GROUP: &str = "overhead";

/// How much more our code may take than the bare driver does for the same statements.
pub const OVERHEAD: Limit = Limit::new(1.5, 1.5);

/// The criterion group of the writes, and what each is called: nothing is asked of them.
pub const WRITES_GROUP: &str = "writes";
pub const WRITES: [&str; 3] = ["favorite", "follow", "publish"];
