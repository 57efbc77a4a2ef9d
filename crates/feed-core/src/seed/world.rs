//! The data that several tables share: the creators, the times of publication, and the ids.

use chrono::{NaiveDateTime, NaiveTime, TimeDelta};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::dice::{Subject, Zipf, stream};
use super::{PERSONAS, Plan};

/// The second at which today starts. Flyers are published from second 0, a year earlier, until then.
pub(super) const TODAY: u32 = 365 * DAY;

/// The seconds of a day.
pub(super) const DAY: u32 = 24 * 60 * 60;

/// The numbers of the personas among the users, from 0, as in [`PERSONAS`].
pub(super) const NEW: u32 = 0;
pub(super) const ACTIVE: u32 = 1;
pub(super) const POWER: u32 = 2;
pub(super) const CREATOR: u32 = 3;

/// The shared data. Users and flyers are numbered from 0; their ids start where the database allows.
#[derive(Debug)]
pub(super) struct World {
    pub(super) plan: Plan,
    /// The users who publish, the most popular first.
    pub(super) creators: Vec<u32>,
    /// The publication of each flyer, in the order of the flyers' ids.
    pub(super) publications: Vec<Publication>,
    /// The time of second 0.
    start: NaiveDateTime,
    first_user: i64,
    first_flyer: i64,
}

/// The creator and the time of a flyer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Publication {
    pub(super) creator: u32,
    pub(super) second: u32,
}

impl World {
    pub(super) fn draw(plan: Plan, now: NaiveDateTime, first_user: i64, first_flyer: i64) -> Self {
        let mut rng = stream(plan.seed, Subject::World);
        let of_persona = (plan.flyers / 100).clamp(20, 2_000).min(plan.flyers / 2);
        let of_others = plan.flyers - of_persona;

        // Every creator publishes at least one flyer. So if flyers are few, creators are few, too.
        let mut creators: Vec<u32> = (0..plan.users).skip(PERSONAS.len()).collect();
        creators.shuffle(&mut rng);
        creators.truncate((plan.users * 3 / 5).min(of_others / 2) as usize);
        let others = u32::try_from(creators.len()).unwrap_or(u32::MAX);

        // Every creator gets exactly their number of flyers, each with a random key. The keys give the order of
        // publication. Creators who have stopped publishing get small keys only.
        let mut order: Vec<(u32, u32)> = (0..of_persona).map(|_| (rng.random(), CREATOR)).collect();
        for (&creator, more) in creators.iter().zip(Zipf::new(others, 20).shares(of_others - others)) {
            let quiet = rng.random_ratio(1, 5);
            order.extend((0..=more).map(|_| {
                let key: u32 = rng.random();
                (if quiet { key / 4 } else { key }, creator)
            }));
        }
        order.sort_unstable();

        let mut second = 0;
        let publications = (0..plan.flyers).zip(order).map(|(flyer, (_, creator))| {
            let slot = published_by(flyer, plan.flyers)..=published_by(flyer + 1, plan.flyers);
            // Some flyers share a second, as imported ones do. Distance and id then decide the order of the feed.
            if flyer == 0 || rng.random_ratio(19, 20) {
                second = rng.random_range(slot);
            }
            Publication { creator, second }
        });
        let publications = publications.collect();

        creators.insert(0, CREATOR);
        let today = now.date().and_time(NaiveTime::MIN);
        let start = today - TimeDelta::seconds(TODAY.into());
        Self { plan, creators, publications, start, first_user, first_flyer }
    }

    /// The id of a user.
    pub(super) fn user_id(&self, user: u32) -> i64 {
        self.first_user + i64::from(user)
    }

    /// The id of a flyer.
    pub(super) fn flyer_id(&self, flyer: u32) -> i64 {
        self.first_flyer + i64::from(flyer)
    }

    /// The time of a second, which may be before 0 or after [`TODAY`].
    pub(super) fn second(&self, second: i64) -> NaiveDateTime {
        self.start + TimeDelta::seconds(second)
    }

    /// A random microsecond after `second` and before today: the earliest of `draws` ones.
    pub(super) fn moment_after(&self, second: u32, rng: &mut ChaCha8Rng, draws: u32) -> NaiveDateTime {
        let span = i64::from(TODAY - second) * 1_000_000;
        let earliest = (0..draws).map(|_| rng.random_range(1..span)).min().unwrap_or(1);
        self.second(second.into()) + TimeDelta::microseconds(earliest)
    }
}

/// The second by which this number of flyers is published. The number per day grows, as that of a growing service does.
fn published_by(flyers: u32, all: u32) -> u32 {
    let last = u128::from(TODAY - 60);
    let second = (u128::from(flyers) * last * last / u128::from(all)).isqrt();
    // At most `last`, so it fits.
    u32::try_from(second).unwrap_or(TODAY)
}
