//! Leaves out log lines that repeat: one line of a kind each second is written, the others are counted.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How many kinds of lines are told apart, at 8 bytes each. At most so many lines are written in a second.
const SLOTS: usize = 1_024;

/// Lets one line of a kind pass each second, and counts the others.
///
/// A kind's hash chooses its slot. Kinds that share a slot are counted as one, so memory and cost are constant whatever
/// callers do.
#[derive(Debug)]
pub struct LogThrottle {
    started: Instant,
    hasher: RandomState,
    /// Upper half: the second in which the last line was written, counted from 1. Lower half: how many lines were left
    /// out since.
    slots: Box<[AtomicU64]>,
}

impl Default for LogThrottle {
    fn default() -> Self {
        let slots = std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect();
        Self { started: Instant::now(), hasher: RandomState::new(), slots }
    }
}

impl LogThrottle {
    /// Counts a line of this kind. Where it is to be written, returns how many were left out since the last one.
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
    use super::{LogThrottle, SLOTS};

    #[test]
    fn one_line_a_second_is_written_with_the_number_left_out() {
        let throttle = LogThrottle::default();
        let written: Vec<_> = (0..10).map(|_| throttle.count_at(&"caller", 0)).collect();
        assert_eq!(written[0], Some(0));
        assert!(written[1..].iter().all(Option::is_none));
        assert_eq!(throttle.count_at(&"caller", 1), Some(9));
        assert_eq!(throttle.count_at(&"caller", 1), None);
        assert_eq!(throttle.count_at(&"caller", 7), Some(1));
    }

    #[test]
    fn any_number_of_callers_writes_no_more_lines_than_there_are_slots() {
        let throttle = LogThrottle::default();
        let written = (0..100_000).filter_map(|caller| throttle.count_at(&caller, 0)).count();
        assert!((SLOTS / 2..=SLOTS).contains(&written), "{written}");
        let told: u64 = (0..100_000).filter_map(|caller| throttle.count_at(&caller, 1)).sum();
        assert_eq!(told, 100_000 - written as u64, "each line left out is counted");
    }
}
