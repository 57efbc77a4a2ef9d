//! Builds the requests for the pages to measure, from a data set.

use criterion::Bencher;
use feed_core::db::{Db, Engine};
use feed_core::feed::{self, FeedRequest};

use super::pages::{Page, Selection};
use super::run;
use crate::feeds::{Ordered, PAGE_SIZE, PagePosition, Rows, Variant};
use crate::shapes::{Data, Shape};

/// A data set, and the rows of the feed that was last requested.
///
/// It opens and reads lazily, so that benches that a filter leaves out cost nothing.
pub struct Reader {
    engine: Engine,
    data: Option<Data>,
    rows: Option<(Shape, Rows)>,
    ordered: Option<(Shape, Selection, Ordered)>,
}

impl Reader {
    /// A reader of an engine's data set, which it does not open yet.
    pub fn new(engine: Engine) -> Self {
        Self { engine, data: None, rows: None, ordered: None }
    }

    /// The data set, which is built first if it is missing.
    pub fn data(&mut self) -> &Data {
        // With planner statistics, as a database in use has them.
        self.data.get_or_insert_with(|| Data::open(self.engine, run::size(), true))
    }

    /// Measures `work` on one connection, the same in every iteration.
    pub fn bench<T>(&mut self, b: &mut Bencher<'_>, mut work: impl FnMut(&mut Db) -> T) {
        let measured = self.data().database.with_writer(|c| {
            b.iter(|| work(c));
            Ok(())
        });
        measured.expect("a connection is available");
    }

    /// The request for a page. It is loaded once, to check that it returns the expected rows.
    pub fn request(&mut self, page: Page) -> FeedRequest {
        let Page { shape, question, spot } = page;
        let ordered = self.ordered(shape, question);
        let spot = match spot {
            // Avoid seconds of many flyers, which cost more with a location. Other cells measure those.
            PagePosition::Behind(rows) if question == Selection::Feed(Variant::NEAR) => {
                PagePosition::Behind(ordered.clear_of_crowds(rows))
            }
            spot => spot,
        };
        let asked = ordered.page(spot, PAGE_SIZE);
        let load = |c: &mut Db| feed::load(c, &asked.request);
        let ids: Vec<_> =
            self.data().database.with_writer(load).unwrap().items.iter().map(|card| card.id).collect();
        assert_eq!(ids, asked.expected, "{page:?}");
        asked.request
    }

    fn ordered(&mut self, shape: Shape, question: Selection) -> &Ordered {
        if self.ordered.as_ref().is_none_or(|(s, q, _)| (*s, *q) != (shape, question)) {
            let ordered = match question {
                Selection::Feed(variant) => self.rows(shape).in_order(variant),
                Selection::Found(case) => {
                    self.data().database.with_writer(|c| Ok(case.rows(c, shape))).unwrap()
                }
            };
            self.ordered = Some((shape, question, ordered));
        }
        &self.ordered.as_ref().unwrap().2
    }

    fn rows(&mut self, shape: Shape) -> &Rows {
        if self.rows.as_ref().is_none_or(|(s, _)| *s != shape) {
            let rows = self.data().database.with_writer(|c| Ok(Rows::read(c, shape))).unwrap();
            self.rows = Some((shape, rows));
        }
        &self.rows.as_ref().unwrap().1
    }
}
