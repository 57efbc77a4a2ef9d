//! Which lines of the log are left out since they repeat one of a moment ago.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How many kinds of lines are told apart, at 8 bytes each. At most so many are written in a second.
const SLOTS: usize = 1_024;

/// Lets one line of a kind pass each second, and counts the others.
///
/// It remembers no kinds but has a slot for each by its hash: those that share one are counted as one. So its memory
/// and its cost are the same whatever callers do.
#[derive(Debug)]
pub struct Repeats {
    started: Instant,
    hasher: RandomState,
    /// The second in which the last line was written, counted from 1, and in the lower half how many were left out
    /// since.
    slots: Box<[AtomicU64]>,
}

impl Default for Repeats {
    fn default() -> Self {
        let slots = std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect();
        Self { started: Instant::now(), hasher: RandomState::new(), slots }
    }
}

impl Repeats {
    /// Whether a line of this kind is to be written now: then, how many were left out since the last one.
    pub fn count(&self, kind: &impl Hash) -> Option<u64> {
        self.count_at(kind, self.started.elapsed().as_secs())
    }

    fn count_at(&self, kind: &impl Hash, second: u64) -> Option<u64> {
        let second = second + 1;
        let hash = usize::try_from(self.hasher.hash_one(kind) % SLOTS as u64).unwrap_or_default();
        let slot = self.slots.get(hash)?;
        let is_due = |value: u64| value >> 32 != second;
        let next = |value: u64| Some(if is_due(value) { second << 32 } else { value + 1 });
        let before =
            slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_else(|value| value);
        is_due(before).then_some(before & u64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::{Repeats, SLOTS};

    #[test]
    fn one_line_a_second_tells_of_those_that_were_left_out() {
        let repeats = Repeats::default();
        let written: Vec<_> = (0..10).map(|_| repeats.count_at(&"caller", 0)).collect();
        assert_eq!(written[0], Some(0));
        assert!(written[1..].iter().all(Option::is_none));
        assert_eq!(repeats.count_at(&"caller", 1), Some(9));
        assert_eq!(repeats.count_at(&"caller", 1), None);
        assert_eq!(repeats.count_at(&"caller", 7), Some(1));
    }

    #[test]
    fn callers_without_number_write_no_more_lines_than_there_are_slots() {
        let repeats = Repeats::default();
        let written = (0..100_000).filter_map(|caller| repeats.count_at(&caller, 0)).count();
        assert!((SLOTS / 2..=SLOTS).contains(&written), "{written}");
        let told: u64 = (0..100_000).filter_map(|caller| repeats.count_at(&caller, 1)).sum();
        assert_eq!(told, 100_000 - written as u64, "none is forgotten");
    }
}
