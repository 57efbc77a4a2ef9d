//! Made-up flyers with their images.

use chrono::NaiveDateTime;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::dice::{Subject, stream};
use super::places::{self, Town};
use super::text::{self, Text};
use super::world::{DAY, TODAY, World};
use crate::feed::FlyerImage;
use crate::models::Flyer;
use crate::sweep;

/// Generates the flyers one after the other.
#[derive(Debug)]
pub(super) struct Flyers<'a> {
    world: &'a World,
    /// The town of each user, in which they publish most of their flyers.
    homes: Vec<&'static Town>,
    rng: ChaCha8Rng,
}

impl<'a> Flyers<'a> {
    pub(super) fn new(world: &'a World) -> Self {
        let mut rng = stream(world.plan.seed, Subject::Flyers);
        let homes = (0..world.plan.users).map(|_| places::town(&mut rng)).collect();
        Self { world, homes, rng }
    }

    pub(super) fn next(&mut self, flyer: u32) -> (Flyer, Vec<FlyerImage>) {
        let Self { world, homes, rng } = self;
        let publication = world.publications[flyer as usize];
        let home = homes[publication.creator as usize];
        let town = if rng.random_ratio(9, 10) { home } else { places::town(rng) };
        let location = places::near(rng, town);
        let Text { title, description, categories } = text::compose(rng, town);
        let (valid_from, valid_until) = validity(world, rng, publication.second);
        let number = flyer + 1;
        let id = world.flyer_id(flyer);
        let images = (1..=image_count(rng)).map(|position| FlyerImage {
            flyer_id: id,
            position,
            url: format!("https://images.demo.pockitflyer.test/flyers/{number}/{position}.jpg"),
        });
        let images = images.collect();
        let over = world.second(TODAY.into()) - sweep::MARGIN;
        let flyer = Flyer {
            id,
            creator_id: world.user_id(publication.creator),
            title,
            description,
            location_address: places::address(rng, town),
            latitude: location.latitude,
            longitude: location.longitude,
            categories: categories.into(),
            valid_from,
            valid_until,
            created_at: world.second(publication.second.into()),
            expired: valid_until < over,
        };
        (flyer, images)
    }
}

/// Draws the validity of a flyer.
///
/// About 80 % are valid, for up to a year from today, so that a demo lasts. About 2 % are scheduled. The others have
/// expired, and older flyers more often.
fn validity(world: &World, rng: &mut ChaCha8Rng, created: u32) -> (NaiveDateTime, NaiveDateTime) {
    let age = TODAY - created;
    let (from, until) = if created > 30 * DAY && rng.random_ratio(1, 50) {
        // Tomorrow or later, whatever the time of day is now, and at most a year after publication.
        let from = TODAY + DAY + rng.random_range(0..created - DAY);
        (from, from + rng.random_range(1..=60 * DAY))
    } else if rng.random_ratio(age, 2 * TODAY) {
        (created, created + rng.random_range(1..=age.min(60 * DAY)))
    } else {
        let from = created + rng.random_range(0..age.min(7 * DAY));
        (from, TODAY + rng.random_range(2 * DAY..=365 * DAY))
    };
    (world.second(from.into()), world.second(until.into()))
}

/// The number of images: 1 to 5, two on average.
fn image_count(rng: &mut ChaCha8Rng) -> i16 {
    match rng.random_range(0..100) {
        0..45 => 1,
        45..75 => 2,
        75..88 => 3,
        88..96 => 4,
        _ => 5,
    }
}
