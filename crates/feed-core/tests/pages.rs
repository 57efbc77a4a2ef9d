//! Compares pages, cursors and counts of all feeds with a brute-force model, on random data.
//!
//! Flyers share few seconds and few locations, so that all kinds of ties occur. Validity begins and ends around the
//! present. Rows are added and deleted between the pages of a list.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;

use chrono::{NaiveDateTime, TimeDelta};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use feed_core::db::{Db, Engine};
use feed_core::feed::{
    self, AccessPath, AccessPaths, Feed, FeedRequest, FlyerCard, FlyerImage, Listing, Order,
};
use feed_core::geo::Location;
use feed_core::models::{Categories, Flyer, FlyerCopy, Follow};
use feed_core::page::{Count, Cursor, Page, PageRequest, Start};
use feed_core::schema::{favorites, flyer_images, flyer_texts, flyers, follows, user_texts, users};
use feed_core::testing::TestDatabase;
use feed_core::text::{FlyerText, UserText};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const USERS: i64 = 6;
/// The user whose feeds are read.
const VIEWER: i64 = 1;

fn now() -> NaiveDateTime {
    "2026-06-01T12:00:00.5".parse().unwrap()
}

#[derive(Debug, Clone)]
struct TestFlyer {
    creator: i64,
    /// Seconds before the base time.
    age: i64,
    /// Index of [`PLACES`].
    place: usize,
    /// Seconds from now. Times equal to now are edge cases.
    valid_from: i64,
    valid_until: i64,
    /// Whether the sweeper has marked it as expired.
    is_marked: bool,
    /// The categories as bits: 1 to 7.
    categories: i16,
    /// Seconds from now at which the viewer favorited it.
    favorited: Option<i64>,
    /// Index of [`TITLES`].
    title: usize,
}

/// Two equal locations, two at the same distance from them, one beyond the antimeridian, and one at the pole.
const PLACES: [(f64, f64); 6] =
    [(47.0, 8.0), (47.0, 8.0), (47.01, 8.0), (46.99, 8.0), (0.0, -179.9), (90.0, 0.0)];

/// Ages in seconds. The text indexes keep such flyers apart from the newest, and from each other: by hours and by days.
const AGES: [i64; 6] = [8_000, 8_200, 20_000, 524_000, 530_000, 2_000_000];

/// Titles that searches must find in any case, and with every character taken literally.
const TITLES: [&str; 4] = ["Bäckerei", "BÄCKEREI 100%", "Straße_1", "o'Neill's"];
/// Searches of one, two and more characters. Some match a creator's name, or nothing.
const SEARCHES: [&str; 10] = ["bäck", "STRASSE", "äckerei", "%", "_", "O'N", "R2", "user2", "0%", "xyz"];
/// Radii in millimetres, which cover one location, the locations around it, and half the globe.
const RADII: [i64; 3] = [1, 2_000_000, 10_000_000_000];

fn flyer() -> impl Strategy<Value = TestFlyer> {
    let validity = prop_oneof![
        6 => Just((-100, 100, false)),
        1 => Just((-100, 0, false)),
        1 => Just((0, 100, false)),
        1 => Just((1, 100, false)),
        1 => (Just(-100), Just(-1), any::<bool>()),
    ];
    let favorited = proptest::option::of(-3..0i64);
    let age = prop_oneof![4 => 0..4i64, 1 => prop::sample::select(&AGES[..])];
    (1..=USERS, age, 0..PLACES.len(), validity, 1..=7i16, favorited, 0..TITLES.len()).prop_map(
        |(creator, age, place, (valid_from, valid_until, is_marked), categories, favorited, title)| {
            TestFlyer {
                creator,
                age,
                place,
                valid_from,
                valid_until,
                is_marked,
                categories,
                favorited,
                title,
            }
        },
    )
}

#[derive(Debug, Clone)]
struct World {
    flyers: Vec<TestFlyer>,
    follows: BTreeSet<i64>,
    location: Option<usize>,
    categories: Option<i16>,
    /// Set only with a location.
    radius_mm: Option<i64>,
    search: Option<&'static str>,
    /// The access path; none if the code under test chooses it.
    path: Option<AccessPath>,
    size: u32,
    /// Flyers that are deleted and added between two pages.
    deleted: Vec<usize>,
    added: Vec<TestFlyer>,
    /// Where the viewer is on each page of a walk by number, over and over.
    route: Vec<Option<usize>>,
}

fn world() -> impl Strategy<Value = World> {
    let location = prop_oneof![Just(None), (0..PLACES.len()).prop_map(Some)];
    (
        vec(flyer(), 0..40),
        proptest::collection::btree_set(2..=USERS, 0..5),
        location,
        proptest::option::of(1..=7i16),
        (
            proptest::option::weighted(0.4, prop::sample::select(&RADII[..])),
            proptest::option::weighted(0.5, prop::sample::select(&SEARCHES[..])),
            prop_oneof![
                Just(None),
                Just(Some(AccessPath::Feed)),
                Just(Some(AccessPath::Place)),
                Just(Some(AccessPath::Text))
            ],
        ),
        1..8u32,
        vec(any::<prop::sample::Index>(), 0..6),
        vec(flyer(), 0..4),
        vec(proptest::option::weighted(0.8, 0..PLACES.len()), 1..4),
    )
        .prop_map(|(flyers, follows, location, categories, found, size, deleted, added, route)| {
            let (radius_mm, search, path) = found;
            let deleted = if flyers.is_empty() {
                Vec::new()
            } else {
                deleted.iter().map(|i| i.index(flyers.len())).collect()
            };
            let radius_mm = location.and(radius_mm);
            World {
                flyers,
                follows,
                location,
                categories,
                radius_mm,
                search,
                path,
                size,
                deleted,
                added,
                route,
            }
        })
}

/// A flyer in the model.
#[derive(Debug, Clone)]
struct Known {
    id: i64,
    flyer: TestFlyer,
}

impl World {
    fn location(&self) -> Option<Location> {
        self.location.map(place)
    }

    /// The sort key of a feed, ascending.
    fn position(&self, Known { id, flyer }: &Known, order: Order) -> (i64, i64, i64) {
        if let (Order::Favorited, Some(favorited)) = (order, flyer.favorited) {
            return (-favorited, 0, -id);
        }
        let (latitude, longitude) = PLACES[flyer.place];
        let place = Location { latitude, longitude };
        (flyer.age, self.location().map(|l| l.distance_mm(place)).unwrap_or_default(), -id)
    }

    /// Whether a flyer is within the radius and matches the search.
    fn is_found(&self, flyer: &TestFlyer) -> bool {
        let (latitude, longitude) = PLACES[flyer.place];
        let place = Location { latitude, longitude };
        let is_near = |(from, radius): (Location, i64)| from.distance_mm(place) <= radius;
        let fold = |text: &str| text.to_uppercase();
        let has = |text: &str| {
            fold(TITLES[flyer.title]).contains(&fold(text))
                || fold(&name(flyer.creator)).contains(&fold(text))
        };
        self.location().zip(self.radius_mm).is_none_or(is_near) && self.search.is_none_or(has)
    }

    /// The ids of a feed in its order, computed without a database.
    fn expected(&self, known: &[Known], feed: Feed, order: Order) -> Vec<i64> {
        let mut ids: Vec<_> = known
            .iter()
            .filter(|k| is_own(feed) || (k.flyer.valid_from <= 0 && k.flyer.valid_until > 0))
            .filter(|k| self.is_found(&k.flyer))
            .filter(|k| self.categories.is_none_or(|wanted| k.flyer.categories & wanted != 0))
            .filter(|k| match feed {
                Feed::All(_) => true,
                Feed::Favorites(_) => k.flyer.favorited.is_some(),
                Feed::Following(_) => self.follows.contains(&k.flyer.creator),
                Feed::Creator { creator, .. } => k.flyer.creator == creator,
            })
            .map(|k| self.position(k, order))
            .collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, _, id)| -id).collect()
    }

    /// The ids of a feed after the position of `gap`, a flyer that may be deleted.
    fn expected_after(&self, known: &[Known], feed: Feed, order: Order, gap: &Known) -> Vec<i64> {
        let at = self.position(gap, order);
        let find = |id: i64| known.iter().find(|k| k.id == id).unwrap();
        self.expected(known, feed, order)
            .into_iter()
            .filter(|&id| self.position(find(id), order) > at)
            .collect()
    }
}

fn place(index: usize) -> Location {
    Location { latitude: PLACES[index].0, longitude: PLACES[index].1 }
}

fn is_own(feed: Feed) -> bool {
    matches!(feed, Feed::Creator { creator, viewer } if viewer == Some(creator))
}

fn name(user: i64) -> String {
    format!("User{user}")
}

fn insert_flyer(c: &mut Db, flyer: &TestFlyer) -> Known {
    let created_at = "2026-06-01T11:00:00".parse::<NaiveDateTime>().unwrap() - TimeDelta::seconds(flyer.age);
    let (latitude, longitude) = PLACES[flyer.place];
    let id = diesel::insert_into(flyers::table)
        .values((
            flyers::creator_id.eq(flyer.creator),
            flyers::title.eq(TITLES[flyer.title]),
            flyers::description.eq(""),
            flyers::location_address.eq("a"),
            flyers::latitude.eq(latitude),
            flyers::longitude.eq(longitude),
            flyers::categories.eq(flyer.categories),
            flyers::valid_from.eq(now() + TimeDelta::seconds(flyer.valid_from)),
            flyers::valid_until.eq(now() + TimeDelta::seconds(flyer.valid_until)),
            flyers::created_at.eq(created_at),
            flyers::expired.eq(flyer.is_marked),
        ))
        .returning(flyers::id)
        .get_result(c)
        .unwrap();
    let row: Flyer = flyers::table.find(id).first(c).unwrap();
    diesel::insert_into(flyer_texts::table).values(FlyerText::from(&row)).execute(c).unwrap();
    let image = FlyerImage { flyer_id: id, position: 1, url: "https://a.example/b".into() };
    diesel::insert_into(flyer_images::table).values(image).execute(c).unwrap();
    if let Some(seconds) = flyer.favorited {
        let copy: FlyerCopy = flyers::table.find(id).select(FlyerCopy::as_select()).first(c).unwrap();
        let favorite = copy.favorite_of(VIEWER, now() + TimeDelta::seconds(seconds));
        diesel::insert_into(favorites::table).values(favorite).execute(c).unwrap();
    }
    Known { id, flyer: flyer.clone() }
}

/// Empties the database and inserts the world.
fn build(c: &mut Db, world: &World) -> Vec<Known> {
    c.batch_execute("DELETE FROM users").unwrap();
    for id in 1..=USERS {
        diesel::insert_into(users::table)
            .values((
                users::id.eq(id),
                users::email.eq(format!("{id}@x.y")),
                users::email_key.eq(format!("{id}@x.y")),
                users::username.eq(name(id)),
                users::password_hash.eq(""),
                users::created_at.eq(now()),
            ))
            .execute(c)
            .unwrap();
        diesel::insert_into(user_texts::table).values(UserText::new(id, &name(id))).execute(c).unwrap();
    }
    for &followed in &world.follows {
        let follow = Follow { follower_id: VIEWER, followed_id: followed, created_at: now() };
        diesel::insert_into(follows::table).values(follow).execute(c).unwrap();
    }
    world.flyers.iter().map(|flyer| insert_flyer(c, flyer)).collect()
}

struct Reader<'a> {
    connection: &'a mut Db,
    listing: Listing,
    path: Option<AccessPath>,
    size: u32,
}

impl Reader<'_> {
    fn load(&mut self, start: Start) -> Page<FlyerCard> {
        let page = PageRequest { start, size: self.size, count: None };
        let request = FeedRequest { listing: self.listing.clone(), page, now: now() };
        match self.path {
            None => feed::load(self.connection, &request),
            Some(path) => feed::load_by(self.connection, &request, AccessPaths::from(path)),
        }
        .unwrap()
    }

    /// Follows links from `start` until there is none, and returns all pages.
    fn walk(
        &mut self,
        start: Start,
        link: impl Fn(&Page<FlyerCard>) -> Option<Cursor>,
    ) -> Vec<Page<FlyerCard>> {
        let mut pages = vec![self.load(start)];
        while let Some(cursor) = link(pages.last().unwrap()) {
            pages.push(self.load(Start::Cursor(cursor)));
            assert!(pages.len() < 100, "the walk does not end");
        }
        pages
    }
}

/// Where a page starts that comes behind one that ended there.
fn after(page: &Page<FlyerCard>, skip: u32) -> Start {
    Start::After { end: page.end.unwrap(), skip }
}

fn ids<'a>(pages: impl IntoIterator<Item = &'a Page<FlyerCard>>) -> Vec<i64> {
    pages.into_iter().flat_map(|p| p.items.iter().map(|card| card.id)).collect()
}

fn check(c: &mut Db, world: &World) -> Result<(), TestCaseError> {
    let newest = [
        Feed::All(Some(VIEWER)),
        Feed::All(None),
        Feed::Favorites(VIEWER),
        Feed::Following(VIEWER),
        Feed::Creator { creator: 2, viewer: Some(VIEWER) },
        Feed::Creator { creator: VIEWER, viewer: Some(VIEWER) },
    ]
    .map(|feed| (feed, Order::Newest));
    for (feed, order) in newest.into_iter().chain([(Feed::Favorites(VIEWER), Order::Favorited)]) {
        let mut known = build(c, world);
        let expected = world.expected(&known, feed, order);
        let categories = world.categories.map(Categories::from);
        let listing = Listing {
            feed,
            order,
            location: world.location(),
            categories,
            radius_mm: world.radius_mm,
            search: world.search.map(feed_core::text::fold),
        };
        let mut reader = Reader { connection: c, listing, path: world.path, size: world.size };
        let size = world.size as usize;

        // Forward by cursor: every flyer once and in order, full pages, and no `next` on the last one.
        let pages = reader.walk(Start::Page(1), |p| p.next);
        prop_assert_eq!(ids(&pages), &expected[..]);
        prop_assert_eq!(pages.len(), expected.len().div_ceil(size).max(1));
        let count = Count::of(u32::try_from(expected.len()).unwrap());
        prop_assert!(pages.iter().all(|p| p.count == count));
        prop_assert!(pages[0].previous.is_none());
        prop_assert!(pages[1..].iter().all(|p| p.previous.is_some()));

        // By number: the same pages, and an empty page past the end, whose `previous` leads to the end of the list.
        for (n, page) in (1..).zip(&pages) {
            let numbered = reader.load(Start::Page(n));
            prop_assert_eq!(&numbered.items, &page.items);
            prop_assert_eq!(numbered.count, count);
            prop_assert_eq!(numbered.next.is_some(), page.next.is_some());
        }
        let past = reader.load(Start::Page(u32::try_from(pages.len()).unwrap() + 1));
        prop_assert!(past.items.is_empty() && past.next.is_none());
        prop_assert_eq!(past.count, count);
        let mut back = reader.walk(Start::Cursor(past.previous.unwrap()), |p| p.previous);
        prop_assert!(back.iter().all(|p| p.next.is_some()));
        back.reverse();
        prop_assert_eq!(ids(&back), &expected[..]);

        check_known_ends(&mut reader, &pages)?;
        check_moving_viewer(&mut reader, world, &expected)?;

        // The `previous` of each page leads to the page before it, and the `next` of that one back again.
        for pair in pages.windows(2) {
            let before = reader.load(Start::Cursor(pair[1].previous.unwrap()));
            prop_assert_eq!(&before.items, &pair[0].items);
            let again = reader.load(Start::Cursor(before.next.unwrap()));
            prop_assert_eq!(&again.items, &pair[1].items);
        }

        // Flags and distances.
        for card in pages.iter().flat_map(|p| &p.items) {
            let flyer = &known.iter().find(|k| k.id == card.id).unwrap().flyer;
            let signed_in = feed.viewer().is_some();
            prop_assert_eq!(card.is_favorited, signed_in.then_some(flyer.favorited.is_some()));
            prop_assert_eq!(
                card.creator.is_following,
                signed_in.then(|| world.follows.contains(&flyer.creator))
            );
            prop_assert_eq!(card.is_valid, flyer.valid_from <= 0 && flyer.valid_until > 0);
            prop_assert_eq!(card.images.len(), 1);
            prop_assert_eq!(card.distance_km.is_some(), world.location.is_some());
        }

        // Delete and add rows after the first page. Rows that exist all the time are seen exactly once. The cursor
        // stays valid without its row. Going back from an emptied page skips nothing.
        let first = reader.load(Start::Page(1));
        let gap = first.items.last().and_then(|last| known.iter().find(|k| k.id == last.id)).cloned();
        for &index in &world.deleted {
            diesel::delete(flyers::table.find(known[index].id)).execute(reader.connection).unwrap();
        }
        let deleted: BTreeSet<_> = world.deleted.iter().map(|&i| known[i].id).collect();
        known.retain(|k| !deleted.contains(&k.id));
        known.extend(world.added.iter().map(|flyer| insert_flyer(reader.connection, flyer)));
        let changed = world.expected(&known, feed, order);
        if let (Some(next), Some(gap)) = (first.next, gap) {
            let rest = reader.walk(Start::Cursor(next), |p| p.next);
            let rest_ids = ids(&rest);
            // The rest is everything in the changed list after the position of the first page's last row.
            let after = world.expected_after(&known, feed, order, &gap);
            prop_assert_eq!(&rest_ids, &after);
            let last = rest.last().unwrap();
            let mut all = reader.walk(Start::Cursor(last.previous.unwrap()), |p| p.previous);
            all.reverse();
            let mut there_and_back = ids(&all);
            there_and_back.extend(last.items.iter().map(|card| card.id));
            prop_assert_eq!(&there_and_back, &changed);
            if let Some(first_again) = all.first() {
                let onward = reader.walk(Start::Cursor(first_again.next.unwrap()), |p| p.next);
                let mut everything = ids([first_again]);
                everything.extend(ids(&onward));
                prop_assert_eq!(&everything, &changed);
            }
        }
    }
    Ok(())
}

/// By number, where it is known how an earlier page ended: the same pages and links.
fn check_known_ends(reader: &mut Reader<'_>, pages: &[Page<FlyerCard>]) -> Result<(), TestCaseError> {
    for pair in pages.windows(2) {
        prop_assert_eq!(&reader.load(after(&pair[0], 0)), &pair[1]);
    }
    let last = pages.last().unwrap();
    if let Some(between) = pages.len().checked_sub(2) {
        let skip = u32::try_from(between).unwrap() * reader.size;
        prop_assert_eq!(&reader.load(after(&pages[0], skip)), last);
    }
    for skip in [0, reader.size] {
        let past = reader.load(after(last, skip));
        prop_assert!(past.items.is_empty() && past.next.is_none());
        prop_assert_eq!(past.count, last.count);
        let again = reader.load(after(&past, 0));
        prop_assert!(again.items.is_empty() && again.next.is_none());
        if !last.items.is_empty() {
            let back = reader.load(Start::Cursor(past.previous.unwrap()));
            prop_assert_eq!(back.items.last(), last.items.last());
        }
    }
    Ok(())
}

/// A viewer who moves while they walk by number gets every flyer once, with the distance and the order of where they are.
fn check_moving_viewer(
    reader: &mut Reader<'_>,
    world: &World,
    expected: &[i64],
) -> Result<(), TestCaseError> {
    if world.radius_mm.is_some() {
        return Ok(());
    }
    let stay = reader.listing.location;
    let (mut seen, mut start) = (Vec::new(), Start::Page(1));
    for &stop in world.route.iter().cycle() {
        let here = stop.map(place);
        reader.listing.location = here;
        let page = reader.load(start);
        prop_assert_eq!(page.items.len(), (reader.size as usize).min(expected.len() - seen.len()));
        let sorted = page.items.iter().map(|card| {
            let location = Location { latitude: card.latitude, longitude: card.longitude };
            let mm = here.map(|here| here.distance_mm(location));
            let kilometres = mm.map(|mm| f64::from(i32::try_from((mm + 5_000) / 10_000).unwrap()) / 100.0);
            assert_eq!(card.distance_km, kilometres);
            (std::cmp::Reverse(card.created_at), mm, std::cmp::Reverse(card.id))
        });
        if reader.listing.order == Order::Newest {
            prop_assert!(sorted.is_sorted());
        }
        seen.extend(ids([&page]));
        prop_assert_eq!(page.next.is_some(), seen.len() < expected.len());
        if page.next.is_none() {
            break;
        }
        start = after(&page, 0);
    }
    reader.listing.location = stay;
    let everything = |ids: &[i64]| ids.iter().copied().collect::<BTreeSet<_>>();
    prop_assert_eq!(seen.len(), expected.len());
    prop_assert_eq!(everything(&seen), everything(expected));
    Ok(())
}

fn run(engine: Engine) {
    let database = TestDatabase::new(engine);
    let config = Config { cases: 96, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&world(), |world| {
            // One transaction for each world avoids syncing every write to disk.
            let check = |c: &mut Db| c.transaction(|c| QueryResult::Ok(check(c, &world)));
            database.database.with_writer(|c| Ok(check(c)?)).unwrap()
        })
        .unwrap();
}

#[test]
fn pages_equal_the_model_on_sqlite() {
    run(Engine::Sqlite);
}

#[test]
fn pages_equal_the_model_on_postgres() {
    run(Engine::Postgres);
}
