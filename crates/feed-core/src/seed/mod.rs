//! Demo data: made-up users, flyers, follows and favorites, reproducible from a seed.
//!
//! A few creators publish most of the flyers, and most creators publish few. Some stopped publishing long ago. Flyers
//! cluster in towns and spread over a year. Most are valid, some have expired, and a few are scheduled. The numbers of
//! follows and favorites per user are as skewed as those of real users.
//!
//! Everything is drawn from [`rand_chacha::ChaCha8Rng`], with a stream of its own for each kind of data. The same
//! [`Plan`] and day give the same rows in every empty database, on both engines. The exceptions are
//! `users.password_hash`, whose salt is random, and `users.token_key`. All accounts share one hash, because hashing
//! takes 20 ms.

mod dice;
mod flyers;
mod load;
mod people;
mod phrases;
mod places;
mod plan;
mod relations;
mod text;
mod world;

use std::fmt;
use std::ops::Range;

use chrono::NaiveDateTime;

use crate::db::{Database, Db};
use crate::error::{Error, Result};
use crate::models::FlyerCopy;
use crate::password;
use crate::text::{FlyerText, UserText};

pub use plan::Plan;

use world::World;

/// The password of every demo account.
pub const PASSWORD: &str = "pockitflyer-demo";

/// The domain of every demo account's e-mail. It distinguishes demo accounts from others.
pub const DOMAIN: &str = "demo.pockitflyer.test";

/// The e-mail of the account without follows and favorites.
pub const NEW: &str = "new@demo.pockitflyer.test";

/// The e-mail of the account with 5 follows and 10 favorites.
pub const ACTIVE: &str = "active@demo.pockitflyer.test";

/// The e-mail of the account with 1,000 follows and 1,000 favorites, if there are as many creators and flyers.
pub const POWER: &str = "power@demo.pockitflyer.test";

/// The e-mail of the account that published 1 % of the flyers: 20 to 2,000, but at most half of all.
pub const CREATOR: &str = "creator@demo.pockitflyer.test";

/// The e-mails of the accounts that each represent a kind of user, in the order of their ids.
pub const PERSONAS: [&str; 4] = [NEW, ACTIVE, POWER, CREATOR];

/// The progress of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being added: `users`, `flyers`, `follows` or `favorites`.
    pub stage: &'static str,
    /// The number of users or flyers that are done. For follows and favorites, the number of users whose relations are.
    pub done: u64,
    /// The number at the end of the stage.
    pub total: u64,
}

/// The result of [`seed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Rows were added.
    Added(Added),
    /// Nothing was added, because demo accounts existed before.
    AlreadyThere,
}

/// The result in words, for the terminal.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyThere => f.write_str("the database already has demo data: nothing was added"),
            Self::Added(Added { users, flyers, flyer_images, follows, favorites }) => write!(
                f,
                "added {users} users, {flyers} flyers with {flyer_images} images, {follows} follows and \
                 {favorites} favorites"
            ),
        }
    }
}

/// The number of rows that were added to each table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Added {
    /// Users, including the personas.
    pub users: usize,
    /// Flyers: valid, expired and scheduled ones.
    pub flyers: usize,
    /// Images: 1 to 5 a flyer.
    pub flyer_images: usize,
    /// Follows.
    pub follows: usize,
    /// Favorites.
    pub favorites: usize,
}

/// Adds the demo data of `plan` in one transaction.
///
/// The data ends at the start of the day of `now`: every `created_at` is earlier. A database that contains demo
/// accounts is not changed. A database that contains other accounts is refused unless `force` is set; their rows are
/// never changed. All other writers wait meanwhile. On SQLite the transaction holds the only write lock. On PostgreSQL
/// it locks out writers.
///
/// A million flyers take about a minute and about 100 MB of memory. On SQLite they need twice their space on disk until
/// the write-ahead log is truncated.
///
/// # Errors
/// [`Error::Invalid`] for a plan out of its bounds, or for the field `force` if it must be set.
pub fn seed(
    database: &Database,
    plan: &Plan,
    now: NaiveDateTime,
    force: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Outcome> {
    plan.check()?;
    let password_hash = password::hash(PASSWORD)?;
    database.with_writer(|connection| {
        let outcome = connection.write(|connection| {
            connection.exclude_other_writers()?;
            if people::demo_account_exists(connection)? {
                return Ok(Outcome::AlreadyThere);
            }
            let others = people::other_account_exists(connection)?;
            if others && !force {
                return Err(Error::invalid(
                    "force",
                    "must be set to add demo data to a database that has other accounts",
                ));
            }
            let first_user = load::reserve(connection, "users", plan.users)?;
            let first_flyer = load::reserve(connection, "flyers", plan.flyers)?;
            let world = World::draw(*plan, now, first_user, first_flyer);
            add(connection, &world, &password_hash, others, progress).map(Outcome::Added)
        })?;
        if matches!(outcome, Outcome::Added(_)) {
            load::tidy_up(connection);
        }
        Ok(outcome)
    })
}

/// The number of users or flyers that are generated at once: some megabytes, and one COPY on PostgreSQL.
const CHUNK: u32 = 5_000;

/// The number of users whose relations are generated at once: some tens of thousands of rows at most.
const RELATIONS_CHUNK: u32 = 500;

fn add(
    connection: &mut Db,
    world: &World,
    password_hash: &str,
    others: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Added> {
    let Plan { users, flyers, .. } = world.plan;
    let mut added = Added::default();

    let mut source = people::Accounts::new(world, password_hash);
    in_chunks("users", users, CHUNK, progress, |users| {
        let mut rows: Vec<_> = users.map(|user| source.next(user)).collect();
        if others {
            people::make_usernames_free(connection, &mut rows)?;
        }
        let texts = rows.iter().map(|user| UserText::new(user.id, &user.username)).collect();
        added.users += load::users(connection, rows)?;
        load::user_texts(connection, texts)?;
        Ok(())
    })?;

    let mut source = flyers::Flyers::new(world);
    // Favorites copy these columns. They take 48 bytes a flyer.
    let mut copies = Vec::with_capacity(flyers as usize);
    in_chunks("flyers", flyers, CHUNK, progress, |flyers| {
        let (rows, images): (Vec<_>, Vec<_>) = flyers.map(|flyer| source.next(flyer)).unzip();
        copies.extend(rows.iter().map(FlyerCopy::from));
        let texts = rows.iter().map(FlyerText::from).collect();
        added.flyers += load::flyers(connection, rows)?;
        load::flyer_texts(connection, texts)?;
        added.flyer_images += load::images(connection, images.into_iter().flatten().collect())?;
        Ok(())
    })?;

    let mut source = relations::Follows::new(world);
    in_chunks("follows", users, RELATIONS_CHUNK, progress, |users| {
        let rows = users.flat_map(|user| source.of(user)).collect();
        added.follows += load::follows(connection, rows)?;
        Ok(())
    })?;

    let mut source = relations::Favorites::new(world, &copies);
    in_chunks("favorites", users, RELATIONS_CHUNK, progress, |users| {
        let rows = users.flat_map(|user| source.of(user)).collect();
        added.favorites += load::favorites(connection, rows)?;
        Ok(())
    })?;
    Ok(added)
}

/// Calls `work` for `0..total` in ranges of at most `step`, and reports after each.
fn in_chunks(
    stage: &'static str,
    total: u32,
    step: u32,
    progress: &mut dyn FnMut(Progress),
    mut work: impl FnMut(Range<u32>) -> Result<()>,
) -> Result<()> {
    let mut done = 0;
    while done < total {
        let end = total.min(done + step);
        work(done..end)?;
        done = end;
        progress(Progress { stage, done: done.into(), total: total.into() });
    }
    Ok(())
}
