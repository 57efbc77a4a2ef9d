//! Remembers how long lists are, so that a first page does not count its list again.
//!
//! A count takes longer than the page that shows it. The state that a list's [`ETag`](feed_core::validator) covers also
//! decides its count: as long as that state is the same, so is the count. A change of any row of the list moves the
//! state, so the next request counts anew.

use std::sync::{Mutex, PoisonError};

use feed_core::page::Count;
use feed_core::validator::{TagKey, Validator};

/// Counts that are remembered. An entry takes 32 bytes.
const ENTRIES: usize = 1 << 16;

/// Identifies a list in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(u128);

impl Key {
    /// The key of the list with this `scope`, see [`feed_core::feed::Listing::walk_scope`], in a state.
    pub(crate) fn of(keys: &TagKey, scope: &str, state: &Validator) -> Self {
        Self(u128::from_ne_bytes(keys.digest(&format!("count {scope}"), state)))
    }
}

/// The counts of lists: 2 MiB, each in the place that its key names.
///
/// Two lists of one place displace each other. So the memory is bounded without a record of what was used last, and
/// what is displaced is merely counted again.
#[derive(Debug)]
pub(crate) struct Counts(Mutex<Box<[Entry]>>);

/// A list and its count; none where no list has taken the place yet.
type Entry = Option<(Key, Count)>;

impl Default for Counts {
    fn default() -> Self {
        Self(Mutex::new(vec![None; ENTRIES].into()))
    }
}

impl Counts {
    /// The remembered count of a list in this state.
    pub(crate) fn get(&self, key: Key) -> Option<Count> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries[place(key)].filter(|(held, _)| *held == key).map(|(_, count)| count)
    }

    /// Remembers the count of a list in this state.
    pub(crate) fn put(&self, key: Key, count: Count) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries[place(key)] = Some((key, count));
    }
}

/// The place of a list: the last bits of its digest, which are evenly spread.
fn place(Key(digest): Key) -> usize {
    (digest % ENTRIES as u128) as usize
}

#[cfg(test)]
mod tests {
    use super::{Count, Counts, ENTRIES, Entry, Key};

    #[test]
    fn one_place_holds_one_count() {
        let counts = Counts::default();
        let [one, same_place] = [7, 7 + ENTRIES as u128].map(Key);
        assert_eq!(counts.get(one), None);
        counts.put(one, Count::of(3));
        assert_eq!((counts.get(one), counts.get(same_place)), (Some(Count::of(3)), None));
        counts.put(same_place, Count::of(2_000));
        assert_eq!((counts.get(one), counts.get(same_place)), (None, Some(Count::of(2_000))));
    }

    #[test]
    fn the_memory_is_bounded() {
        assert!(size_of::<Entry>() * ENTRIES <= 2 << 20);
    }
}
