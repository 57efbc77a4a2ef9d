//! Made-up follows and favorites.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::dice::{Subject, Zipf, distinct, skewed_count, stream};
use super::world::{ACTIVE, NEW, POWER, World};
use crate::models::{Favorite, FlyerCopy, Follow};

/// The largest number of favorites of a user.
const FAVORITES_MAX: u32 = 1_000;

/// Generates the follows of one user after the other.
#[derive(Debug)]
pub(super) struct Follows<'a> {
    world: &'a World,
    popularity: Zipf,
    rng: ChaCha8Rng,
}

impl<'a> Follows<'a> {
    pub(super) fn new(world: &'a World) -> Self {
        let creators = u32::try_from(world.creators.len()).unwrap_or(u32::MAX);
        let popularity = Zipf::new(creators, 10);
        Self { world, popularity, rng: stream(world.plan.seed, Subject::Follows) }
    }

    /// The follows of a user, in the order of the followed ids.
    pub(super) fn of(&mut self, user: u32) -> Vec<Follow> {
        let Self { world, popularity, rng } = self;
        let wanted = match user {
            NEW => 0,
            ACTIVE => 5,
            POWER => 1_000,
            _ if rng.random_ratio(1, 8) => 0,
            _ => skewed_count(rng, 2, world.plan.follows_max),
        };
        let draw = |rng: &mut ChaCha8Rng| world.creators[popularity.draw(rng)];
        let mut followed = distinct(rng, wanted, draw, world.creators.iter().copied());
        // Nobody follows themselves. This does not affect the personas with a fixed number of follows, because they
        // publish nothing and so are never drawn.
        followed.remove(&user);
        let follow = |followed| Follow {
            follower_id: world.user_id(user),
            followed_id: world.user_id(followed),
            // All accounts that publish or follow are older than the first flyer.
            created_at: world.moment_after(0, rng, 1),
        };
        followed.into_iter().map(follow).collect()
    }
}

/// Generates the favorites of one user after the other.
#[derive(Debug)]
pub(super) struct Favorites<'a> {
    world: &'a World,
    /// The flyers' columns that favorites copy, in the order of the flyers' ids.
    flyers: &'a [FlyerCopy],
    rng: ChaCha8Rng,
}

impl<'a> Favorites<'a> {
    pub(super) fn new(world: &'a World, flyers: &'a [FlyerCopy]) -> Self {
        Self { world, flyers, rng: stream(world.plan.seed, Subject::Favorites) }
    }

    /// The favorites of a user, in the order of the flyers' ids.
    pub(super) fn of(&mut self, user: u32) -> Vec<Favorite> {
        let Self { world, flyers, rng } = self;
        let wanted = match user {
            NEW => 0,
            ACTIVE => 10,
            POWER => 1_000,
            _ if rng.random_ratio(1, 8) => 0,
            _ => skewed_count(rng, 3, FAVORITES_MAX),
        };
        let all = world.plan.flyers;
        let newest_first = (0..all).rev();
        let favored = distinct(rng, wanted, |rng| favored_one(rng, all), newest_first);
        let favorite = |flyer: u32| {
            let second = world.publications[flyer as usize].second;
            let created_at = world.moment_after(second, rng, 3);
            flyers[flyer as usize].favorite_of(world.user_id(user), created_at)
        };
        favored.into_iter().map(favorite).collect()
    }
}

/// A random flyer, more often a newer one. A third of the draws return flyers that many or all users like.
fn favored_one(rng: &mut ChaCha8Rng, all: u32) -> u32 {
    let flyer = rng.random_range(0..all).max(rng.random_range(0..all));
    let spacing = match rng.random_range(0..12) {
        0 => all / 200 + 1,
        1..4 => 20,
        _ => 1,
    };
    flyer - flyer % spacing
}
