//! Checks every page of every shape against its budget, and the scaling rules: the promise that a page's cost is
//! constant.
//!
//! `FEED_BUDGETS=write` writes the measured work to `budgets.toml` instead.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;

use feed_core::db::{Db, Engine};
use feed_core::feed::{self, Feed, FeedRequest, FlyerCard, Listing};
use feed_core::page::{Cursor, Page, PageRequest, Start};
use feed_core::users::Identity;
use feed_core::validator;
use feed_perf::log;
use feed_perf::work::Work;
use feed_test::feeds::{Ordered, PAGE_SIZE, PagePosition, Rows, Variant, searches};
use feed_test::guard::budgets::{self, Budget, Budgets};
use feed_test::guard::{self, load, product};
use feed_test::shapes::{self, Data, SIZES, Shape};

/// Measures every page of a data set, and checks that it has the expected rows.
fn each_page(data: &Data, mut done: impl FnMut(budgets::PageName, &Work)) {
    data.database
        .with_writer(|c| {
            for shape in Shape::ALL.into_iter().filter(|shape| shape.exists_at(data.size)) {
                let rows = Rows::read(c, shape);
                for variant in Variant::all(shape) {
                    let rows = rows.in_order(variant);
                    for spot in PagePosition::BUDGETED {
                        let name = budgets::name(shape, variant, spot);
                        let measured = load(c, product, &rows.page(spot, PAGE_SIZE))
                            .unwrap_or_else(|red| panic!("{name:?} of {} flyers: {red}", data.size));
                        done(name, &measured);
                    }
                }
            }
            // Searches are measured only at the smallest and the largest size.
            if data.size == SIZES[1] {
                return Ok(());
            }
            for shape in searches::SEARCHERS.into_iter().filter(|shape| shape.exists_at(data.size)) {
                for case in searches::SEARCH_CASES {
                    let rows = case.rows(c, shape);
                    for spot in [PagePosition::First, PagePosition::Middle] {
                        let name = (format!("{} {}", shape.name(), case.name), spot.name());
                        let measured = load(c, product, &rows.page(spot, PAGE_SIZE))
                            .unwrap_or_else(|red| panic!("{name:?} of {} flyers: {red}", data.size));
                        done(name, &measured);
                    }
                }
            }
            Ok(())
        })
        .unwrap();
}

fn within_budgets(engine: Engine) {
    log::install();
    let is_writing = std::env::var("FEED_BUDGETS").is_ok_and(|v| v == "write");
    let budgets = Budgets::read();
    let version = Data::open(engine, SIZES[0], false).database.read(|c| Ok(budgets::version(c))).unwrap();
    let is_known = budgets.of(engine).version == version;
    if !is_known {
        eprintln!(
            "budgets.toml has no budgets for {engine:?} {version}: only rows and scaling rules are checked"
        );
    }
    let mut most: BTreeMap<String, BTreeMap<String, Budget>> = BTreeMap::new();
    let mut reds = Vec::new();
    let mut seen = String::new();
    let mut pages = 0;
    for size in SIZES {
        for analyzed in [false, true] {
            each_page(&Data::open(engine, size, analyzed), |name, measured| {
                pages += 1;
                let (shape, spot) = &name;
                let statistics = if analyzed { "analyzed" } else { "no statistics" };
                let (units, visited) = (measured.total().units, guard::visited(measured));
                let _ = writeln!(seen, "{shape}\t{spot}\t{size}\t{statistics}\t{units}\t{visited}");
                if is_known && !is_writing {
                    reds.extend(budgets.hold(engine, &name, measured).err());
                }
                let cell = most.entry(name.0).or_default().entry(name.1).or_default();
                let taken = budgets::taken(measured);
                cell.resize(taken.len(), 0);
                cell.iter_mut().zip(taken).for_each(|(most, taken)| *most = taken.max(*most));
            });
        }
    }
    // The work at each size, for those who want to know where a budget comes from.
    let file = format!("{}/work-{engine:?}.tsv", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(file, seen).unwrap();
    if is_writing {
        // The other engine's test may write its budgets at the same time.
        let lock = File::open(env!("CARGO_MANIFEST_DIR")).unwrap();
        lock.lock().unwrap();
        let mut budgets = Budgets::read();
        let part = match engine {
            Engine::Sqlite => &mut budgets.sqlite,
            Engine::Postgres => &mut budgets.postgres,
        };
        (part.version, part.pages) = (version, most);
        budgets.write();
    } else if is_known {
        let unknown: Vec<_> =
            budgets.of(engine).pages.keys().filter(|row| !most.contains_key(*row)).collect();
        assert!(unknown.is_empty(), "budgets.toml has budgets for pages that do not exist: {unknown:?}");
    }
    assert!(reds.is_empty(), "{} of {pages} pages exceed their budget; the first:\n{}", reds.len(), reds[0]);
}

#[test]
fn sqlite_stays_within_its_budgets() {
    within_budgets(Engine::Sqlite);
}

#[test]
fn postgres_stays_within_its_budgets() {
    within_budgets(Engine::Postgres);
}

/// Measures one page by cursor, which takes no count.
fn measured(data: &Data, shape: Shape, variant: Variant, spot: PagePosition) -> Work {
    let page = |c: &mut _| {
        let asked = Rows::read(c, shape).in_order(variant).page(spot, PAGE_SIZE);
        load(c, product, &asked)
    };
    data.database.with_writer(|c| Ok(page(c))).unwrap().unwrap()
}

#[test]
fn a_larger_table_costs_no_more() {
    log::install();
    for engine in [Engine::Sqlite, Engine::Postgres] {
        for (small, large) in [(SIZES[0], SIZES[2]), (SIZES[1], SIZES[2])] {
            let [small, large] = [small, large].map(|size| Data::open(engine, size, false));
            for shape in Shape::ALL.into_iter().filter(|shape| shape.is_same_at(small.size, large.size)) {
                for variant in [Variant::PLAIN, Variant::NEAR] {
                    let of = |data: &Data| measured(data, shape, variant, PagePosition::Behind(0));
                    guard::ratio(&of(&small), &of(&large), 1.2).unwrap_or_else(|red| {
                        panic!(
                            "{engine:?}, {} {}, {} flyers: {red}",
                            shape.name(),
                            variant.name(),
                            large.size
                        )
                    });
                }
            }
        }
    }
}

/// Not the search of two letters, which has no trigram: PostgreSQL reads all texts for it.
#[test]
fn searches_use_indexes() {
    const TABLES: [&str; 6] = ["users", "flyers", "favorites", "follows", "flyer_texts", "user_texts"];
    log::install();
    shapes::on_both(SIZES[1], false, |data| {
        data.database
            .with_writer(|c| {
                for shape in searches::SEARCHERS {
                    for case in searches::SEARCH_CASES.iter().filter(|case| case.name != "two letters") {
                        let asked = case.rows(c, shape).page(PagePosition::First, PAGE_SIZE);
                        let work = load(c, product, &asked).unwrap();
                        let plans: Vec<_> = work.plans().collect();
                        assert!(!plans.is_empty());
                        for plan in plans {
                            let scan = plan.scans.iter().find(|scan| TABLES.contains(&scan.table.as_str()));
                            assert!(scan.is_none(), "{:?} {}: {plan}", data.engine, case.name);
                        }
                    }
                }
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn a_search_with_few_matches_costs_the_same_in_a_larger_table() {
    log::install();
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let [small, large] = [SIZES[1], SIZES[2]].map(|size| Data::open(engine, size, false));
        for shape in [Shape::All, Shape::Follows100, Shape::Favorites100] {
            for case in ["rare", "nowhere", "sea"] {
                let of = |data: &Data| {
                    let page = |c: &mut _| {
                        let asked = searches::SearchCase::by_name(case)
                            .rows(c, shape)
                            .page(PagePosition::First, PAGE_SIZE);
                        load(c, product, &asked)
                    };
                    data.database.with_writer(|c| Ok(page(c))).unwrap().unwrap()
                };
                guard::ratio(&of(&small), &of(&large), 1.2)
                    .unwrap_or_else(|red| panic!("{engine:?}, {} {case}: {red}", shape.name()));
            }
        }
    }
}

#[test]
fn a_search_with_few_matching_favorites_costs_about_the_same_in_either_order() {
    log::install();
    shapes::on_both(SIZES[2], true, |data| {
        for case in ["rare", "nowhere", "sea", "rare in the city"].map(searches::SearchCase::by_name) {
            for spot in [PagePosition::First, PagePosition::Middle] {
                let page = |rows: fn(searches::SearchCase, &mut Db, Shape) -> Ordered| {
                    let load = |c: &mut Db| {
                        let asked = rows(case, c, Shape::Favorites100000).page(spot, PAGE_SIZE);
                        load(c, product, &asked)
                    };
                    data.database.with_writer(|c| Ok(load(c))).unwrap().unwrap()
                };
                guard::ratio(&page(searches::SearchCase::rows), &page(searches::SearchCase::favorited), 1.2)
                    .unwrap_or_else(|red| panic!("{:?} {}: {red}", data.engine, case.name));
            }
        }
    });
}

#[test]
fn a_deeper_page_costs_no_more() {
    log::install();
    shapes::on_both(SIZES[2], false, |data| {
        for shape in [Shape::All, Shape::Favorites100000, Shape::Follows1000, Shape::Prolific10] {
            for variant in [Variant::PLAIN, Variant::NEAR] {
                let page = |number: usize| {
                    let rows = (number - 1) * PAGE_SIZE as usize;
                    measured(data, shape, variant, PagePosition::Behind(rows))
                };
                // Only this list has fewer than 1,000 pages.
                let deep = if matches!(shape, Shape::Prolific10) { 400 } else { 1_000 };
                guard::ratio(&page(1), &page(deep), 1.2)
                    .unwrap_or_else(|red| panic!("{:?}, {}: {red}", data.engine, shape.name()));
            }
        }
    });
}

#[test]
fn a_backlog_of_expired_flyers_costs_at_most_twice() {
    log::install();
    for size in [SIZES[1], SIZES[2]] {
        shapes::on_both(size, false, |data| {
            for (valid, expired) in
                [(Shape::Valid100, Shape::Expired100), (Shape::Favorites10000, Shape::FavoritesExpired)]
            {
                for variant in [Variant::PLAIN, Variant::NEAR] {
                    let of = |shape| measured(data, shape, variant, PagePosition::Behind(0));
                    guard::ratio(&of(valid), &of(expired), 2.0)
                        .unwrap_or_else(|red| panic!("{:?}, {}: {red}", data.engine, expired.name()));
                }
            }
        });
    }
}

/// Measures a page of a creator's flyers, as the creator or somebody else sees them.
fn creators_page(c: &mut Db, creator: i64, viewer: i64, cursor: Option<Cursor>) -> (Page<FlyerCard>, Work) {
    let listing = Listing::from(Feed::Creator { creator, viewer: Some(viewer) });
    let start = cursor.map_or(Start::Page(1), Start::Cursor);
    let request = FeedRequest {
        listing,
        page: PageRequest { start, size: PAGE_SIZE, count: None },
        now: shapes::now(),
    };
    let (page, work) = guard::measure(c, |c| feed::load(c, &request));
    (page.unwrap(), work)
}

#[test]
fn a_deeper_page_of_a_creators_flyers_costs_no_more() {
    log::install();
    shapes::on_both(SIZES[1], false, |data| {
        let creator = shapes::Crowd::Prolific.first();
        for viewer in [creator + 1, creator] {
            data.database
                .with_writer(|c| {
                    let (first, _) = creators_page(c, creator, viewer, None);
                    let (second, near) = creators_page(c, creator, viewer, first.next);
                    let mut next = second.next;
                    for _ in 0..40 {
                        next = creators_page(c, creator, viewer, next).0.next;
                    }
                    let (page, deep) = creators_page(c, creator, viewer, next);
                    assert_eq!(page.items.len(), PAGE_SIZE as usize);
                    // A flyer has one or two images, so a page of the same cost may read a third more rows.
                    guard::ratio(&near, &deep, 1.4)
                        .unwrap_or_else(|red| panic!("{:?}, {viewer}: {red}", data.engine));
                    for plan in deep.plans() {
                        assert!(plan.scans.is_empty(), "{plan}");
                    }
                    Ok(())
                })
                .unwrap();
        }
    });
}

#[test]
fn the_etag_state_costs_the_same_in_a_larger_table() {
    log::install();
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let [small, large] = [SIZES[0], SIZES[2]].map(|size| {
            let viewer = Identity { id: 1, key: 1 };
            let current = |c: &mut Db| validator::current(c, Some(viewer), shapes::now());
            let data = Data::open(engine, size, false);
            let (validator, work) = data.database.with_writer(|c| Ok(guard::measure(c, current))).unwrap();
            validator.unwrap();
            work
        });
        guard::ratio(&small, &large, 1.2).unwrap_or_else(|red| panic!("{engine:?}: {red}"));
        // The viewer's row, the ends of two index ranges, and the rows of `content_versions`: 1 on SQLite, 16 on
        // PostgreSQL.
        let most = if engine == Engine::Sqlite { 120 } else { 20 };
        assert!(guard::visited(&large) <= most, "{large}");
        let scans: Vec<_> = large.plans().flat_map(|plan| &plan.scans).map(|scan| &scan.table).collect();
        assert!(scans.iter().all(|table| *table == "content_versions"), "{scans:?}");
    }
}
