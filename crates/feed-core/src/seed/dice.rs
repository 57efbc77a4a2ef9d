//! Draws from skewed distributions, by arithmetic that is the same on every machine.

use std::collections::BTreeSet;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What is drawn from one stream: more draws for one subject do not change another.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject {
    World = 1,
    Accounts,
    Flyers,
    Follows,
    Favorites,
}

/// The stream of random numbers for `subject`.
pub(super) fn stream(seed: u64, subject: Subject) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(subject as u64);
    rng
}

/// One of `list`, each as likely.
pub(super) fn pick<T: Copy>(rng: &mut ChaCha8Rng, list: &[T]) -> T {
    list[rng.random_range(0..list.len())]
}

/// One of `list`, the first ones often and the last ones rarely.
pub(super) fn pick_skewed<T: Copy>(rng: &mut ChaCha8Rng, list: &[T]) -> T {
    list[skewed_index(rng, list.len())]
}

/// A number below `length`, the small ones often and the large ones rarely.
pub(super) fn skewed_index(rng: &mut ChaCha8Rng, length: usize) -> usize {
    let bound = rng.random_range(1..=length);
    rng.random_range(0..bound)
}

/// A number of relations: `least` or more for everybody, twice as many for half, and so on up to `most`.
pub(super) fn skewed_count(rng: &mut ChaCha8Rng, least: u32, most: u32) -> u32 {
    const PARTS: u32 = 100_000;
    (least * PARTS / rng.random_range(1..=PARTS)).min(most)
}

/// About normal: the sum of four uniform draws, with mean 0, deviation 1, and nothing beyond 3.5.
pub(super) fn bell(rng: &mut ChaCha8Rng) -> f64 {
    let sum: f64 = (0..4).map(|_| rng.random::<f64>() - 0.5).sum();
    sum * 3.0_f64.sqrt()
}

/// Up to `wanted` different values: from `draw` while it finds new ones, the remainder from `rest`.
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

/// Ranks from 0, each with a weight of 1 / (rank + flatness).
#[derive(Debug)]
pub(super) struct Zipf {
    /// The sum of the weights up to and with each rank.
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

    /// A rank.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> usize {
        let ticket = rng.random_range(0..self.sum());
        self.cumulative.partition_point(|&end| end <= ticket)
    }

    /// Divides `total` among the ranks by their weights, to the last one.
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
