//! Random draws from skewed distributions, with results that are the same on every machine.

use std::collections::BTreeSet;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The kinds of data. Each has a random stream of its own, so that more draws for one do not change another.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject {
    World = 1,
    Accounts,
    Flyers,
    Follows,
    Favorites,
}

/// The random stream for `subject`.
pub(super) fn stream(seed: u64, subject: Subject) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(subject as u64);
    rng
}

/// A random element of `list`, each with the same probability.
pub(super) fn pick<T: Copy>(rng: &mut ChaCha8Rng, list: &[T]) -> T {
    list[rng.random_range(0..list.len())]
}

/// A random element of `list`: early ones often, late ones rarely.
pub(super) fn pick_skewed<T: Copy>(rng: &mut ChaCha8Rng, list: &[T]) -> T {
    list[skewed_index(rng, list.len())]
}

/// A random number below `length`: small ones often, large ones rarely.
pub(super) fn skewed_index(rng: &mut ChaCha8Rng, length: usize) -> usize {
    let bound = rng.random_range(1..=length);
    rng.random_range(0..bound)
}

/// A random number of relations: at least `least` for everybody, at least twice as many for half of the users, and so
/// on, up to `most`.
pub(super) fn skewed_count(rng: &mut ChaCha8Rng, least: u32, most: u32) -> u32 {
    const PARTS: u32 = 100_000;
    (least * PARTS / rng.random_range(1..=PARTS)).min(most)
}

/// A draw from an approximately normal distribution, with mean 0 and standard deviation 1.
///
/// It is the sum of four uniform draws, and never exceeds 3.5 on either side.
pub(super) fn bell(rng: &mut ChaCha8Rng) -> f64 {
    let sum: f64 = (0..4).map(|_| rng.random::<f64>() - 0.5).sum();
    sum * 3.0_f64.sqrt()
}

/// Up to `wanted` distinct values. They come from `draw` as long as it returns new ones, and then from `rest`.
pub(super) fn distinct(
    rng: &mut ChaCha8Rng,
    wanted: u32,
    mut draw: impl FnMut(&mut ChaCha8Rng) -> u32,
    rest: impl Iterator<Item = u32>,
) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let wanted = wanted as usize;
    for _ in 0..wanted * 4 {
        if found.len() == wanted {
            return found;
        }
        found.insert(draw(rng));
    }
    for value in rest {
        if found.len() == wanted {
            break;
        }
        found.insert(value);
    }
    found
}

/// A Zipf distribution over ranks from 0. Each has a weight of 1 / (rank + flatness).
#[derive(Debug)]
pub(super) struct Zipf {
    /// The sum of the weights of all ranks up to and including each one.
    cumulative: Vec<u64>,
}

impl Zipf {
    pub(super) fn new(ranks: u32, flatness: u32) -> Self {
        let weight = |rank| 1_000_000_000 / (u64::from(rank) + u64::from(flatness));
        let add = |sum: &mut u64, rank| {
            *sum += weight(rank);
            Some(*sum)
        };
        Self { cumulative: (0..ranks).scan(0, add).collect() }
    }

    /// Draws a rank.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> usize {
        let ticket = rng.random_range(0..self.sum());
        self.cumulative.partition_point(|&end| end <= ticket)
    }

    /// Divides `total` among the ranks by their weights, without a remainder.
    pub(super) fn shares(&self, total: u32) -> impl Iterator<Item = u32> {
        let mut given = 0;
        self.cumulative.iter().map(move |&end| {
            let until = u128::from(total) * u128::from(end) / u128::from(self.sum());
            // At most `total`, so it fits.
            let until = u32::try_from(until).unwrap_or(total);
            let share = until - given;
            given = until;
            share
        })
    }

    fn sum(&self) -> u64 {
        self.cumulative.last().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Subject, Zipf, distinct, skewed_count, stream};

    #[test]
    fn shares_add_up_and_fall() {
        let shares: Vec<_> = Zipf::new(1_000, 20).shares(50_000).collect();
        assert_eq!(shares.iter().sum::<u32>(), 50_000);
        assert!(shares[0] > 10 * shares[999], "{} {}", shares[0], shares[999]);
    }

    #[test]
    fn distinct_takes_all_there_is() {
        let mut rng = stream(1, Subject::World);
        let zipf = Zipf::new(50, 1);
        let mut draw =
            |wanted| distinct(&mut rng, wanted, |rng| u32::try_from(zipf.draw(rng)).unwrap(), 0..50).len();
        assert_eq!(draw(10), 10);
        assert_eq!(draw(50), 50);
        assert_eq!(draw(100), 50);
    }

    #[test]
    fn counts_are_skewed_and_bounded() {
        let mut rng = stream(1, Subject::World);
        let mut counts: Vec<_> = (0..1_001).map(|_| skewed_count(&mut rng, 2, 300)).collect();
        counts.sort_unstable();
        assert_eq!(counts[0], 2);
        assert!((3..=5).contains(&counts[500]), "{}", counts[500]);
        assert_eq!(counts[1_000], 300);
    }
}
