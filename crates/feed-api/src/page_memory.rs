//! Remembers where the pages ended that callers asked by number, so that each next page starts there.
//!
//! The shipped app asks for page 1, 2, 3, … and never follows `next`. With this memory it gets what `next` would give: a
//! page costs the same at any depth, and nothing is repeated or lost while others publish and delete.
//!
//! The memory is bounded in bytes, and each caller has `PAGES_PER_CALLER` pages at most, so that no caller can make the
//! service forget the pages of all others. A page is forgotten after `LIFETIME`.
//!
//! Callers with the same key (two devices of an account, strangers behind one address) share their pages. A page then
//! continues the page before it as either of them was given it last. That is never worse than skipping rows: page 1 is
//! always read anew, so whoever was given a page last has seen a list at least as new, and the next page starts where
//! counting rows would have found it at some moment in between.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::mem::size_of;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{NaiveDateTime, TimeDelta};
use feed_core::page::{PageEnd, Start};

use crate::caller::CallerKey;

/// How long a page is remembered after the caller was given it.
const LIFETIME: TimeDelta = TimeDelta::hours(1);

/// Pages that are remembered for each caller. The oldest is forgotten for one more.
const PAGES_PER_CALLER: usize = 512;

/// Rows that are skipped at most between a remembered page and the one that is asked.
const MOST_SKIPPED_ROWS: u32 = 1_000;

/// Bytes that each caller costs besides the pages. A hash table is at least 7/16 full; an allocation has a header.
const BYTES_PER_CALLER: usize = (size_of::<(CallerKey, Pages)>() + 1) * 16 / 7 + 16;

const MOST_BYTES_OF_A_CALLER: usize = BYTES_PER_CALLER + PAGES_PER_CALLER * size_of::<Remembered>();

/// Where the pages ended that callers were given lately.
#[derive(Debug)]
pub struct PageMemory {
    /// Bytes of a generation that one more caller may exceed.
    generation_bytes: usize,
    /// Makes one number of what identifies a list. Its key is random, so nobody can find two lists with one number.
    hasher: RandomState,
    generations: Mutex<Generations>,
}

/// A page of a list by its number, as one caller asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageKey {
    caller: CallerKey,
    list: u64,
    number: u32,
    size: u32,
}

/// What is known of a page before it is loaded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Known {
    /// Where it starts. None where no page before it is remembered, and for page 1, which is always read anew.
    pub start: Option<Start>,
    /// The tag of this page as the caller was last given it, and where it ended.
    last: Option<(u64, PageEnd)>,
}

/// A page that a caller is given: what to remember once the response has succeeded. Stored in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GivenPage {
    key: PageKey,
    tag: u64,
    end: PageEnd,
}

/// A page that is remembered.
#[derive(Debug, Clone, Copy)]
struct Remembered {
    list: u64,
    number: u32,
    given_at: NaiveDateTime,
    tag: u64,
    end: PageEnd,
}

impl Remembered {
    fn is_forgotten(&self, now: NaiveDateTime) -> bool {
        now - self.given_at >= LIFETIME
    }
}

/// The pages of one caller, in the order in which they were given.
type Pages = VecDeque<Remembered>;

/// All callers, in two generations: those who were given a page lately, and those before them.
///
/// Where the young generation has used up half of all bytes, it becomes the old one, and the old one is forgotten. So
/// the callers who were idle for longest are forgotten first, and no page costs more than a constant time.
#[derive(Debug, Default)]
struct Generations {
    young: Generation,
    old: Generation,
}

#[derive(Debug, Default)]
struct Generation {
    callers: HashMap<CallerKey, Pages>,
    /// Bytes that the callers cost, those included who have moved on to the young generation.
    bytes: usize,
    pages: usize,
}

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) pages: usize,
    pub(crate) bytes: usize,
}

impl PageMemory {
    /// A memory of so many MiB; none for 0.
    #[must_use]
    pub fn new(mib: u32) -> Option<Self> {
        // The last caller of a generation may exceed its limit.
        let generation_bytes = (mib as usize * 1024 * 1024 / 2).checked_sub(MOST_BYTES_OF_A_CALLER)?;
        Some(Self { generation_bytes, hasher: RandomState::new(), generations: Mutex::default() })
    }

    /// The key of a page with this number, of a list with this scope.
    pub(crate) fn key(&self, caller: CallerKey, scope: &str, size: u32, number: u32) -> PageKey {
        PageKey { caller, list: self.hasher.hash_one((scope, size)), number, size }
    }

    /// What is known of a page.
    pub(crate) fn find(&self, key: &PageKey, now: NaiveDateTime) -> Known {
        let generations = self.generations();
        let Generations { young, old } = &*generations;
        let pages = young.callers.get(&key.caller).or_else(|| old.callers.get(&key.caller));
        let (mut last, mut nearest): (_, Option<&Remembered>) = (None, None);
        let of_list = |page: &&Remembered| page.list == key.list && !page.is_forgotten(now);
        for page in pages.into_iter().flatten().filter(of_list) {
            if page.number == key.number {
                last = Some((page.tag, page.end));
            } else if page.number < key.number && nearest.is_none_or(|other| other.number < page.number) {
                nearest = Some(page);
            }
        }
        let start = nearest.and_then(|page| {
            let skip = (key.number - page.number - 1).saturating_mul(key.size);
            (skip <= MOST_SKIPPED_ROWS).then_some(Start::After { end: page.end, skip })
        });
        Known { start, last }
    }

    /// A page that is given with this tag and ends there.
    pub(crate) fn given(&self, key: PageKey, tag: &str, end: PageEnd) -> GivenPage {
        GivenPage { key, tag: self.hasher.hash_one(tag), end }
    }

    /// The page that is given again with this tag; none where it is not known how that page ended.
    pub(crate) fn given_again(&self, key: PageKey, known: &Known, tag: &str) -> Option<GivenPage> {
        let (last_tag, end) = known.last?;
        Some(self.given(key, tag, end)).filter(|given| given.tag == last_tag)
    }

    /// Remembers a page that a caller was given at `now`.
    pub(crate) fn remember(&self, given: &GivenPage, now: NaiveDateTime) {
        let GivenPage { key: PageKey { caller, list, number, .. }, tag, end } = *given;
        let mut generations = self.generations();
        let Generations { young, old } = &mut *generations;
        let pages = young.callers.entry(caller).or_insert_with(|| {
            let pages = old.callers.remove(&caller).unwrap_or_default();
            old.pages -= pages.len();
            young.pages += pages.len();
            young.bytes += cost(&pages);
            pages
        });
        young.bytes -= cost(pages);
        young.pages -= pages.len();
        while pages.len() >= PAGES_PER_CALLER || pages.front().is_some_and(|page| page.is_forgotten(now)) {
            pages.pop_front();
        }
        if let Some(index) = pages.iter().position(|page| (page.list, page.number) == (list, number)) {
            pages.remove(index);
        }
        pages.push_back(Remembered { list, number, given_at: now, tag, end });
        young.bytes += cost(pages);
        young.pages += pages.len();
        if young.bytes > self.generation_bytes {
            let forgotten = std::mem::replace(old, std::mem::take(young));
            // Freeing many callers takes milliseconds, in which others need not wait.
            drop(generations);
            drop(forgotten);
        }
    }

    /// How much is remembered now.
    pub(crate) fn size(&self) -> Size {
        let Generations { young, old } = &*self.generations();
        Size { pages: young.pages + old.pages, bytes: young.bytes + old.bytes }
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that a caller with these pages costs.
fn cost(pages: &Pages) -> usize {
    BYTES_PER_CALLER + pages.capacity() * size_of::<Remembered>()
}

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    use chrono::{DateTime, NaiveDateTime, TimeDelta};
    use feed_core::page::{Count, PageEnd, Position, Start};
    use proptest::prelude::*;

    use super::{
        CallerKey, Generation, LIFETIME, MOST_SKIPPED_ROWS, PAGES_PER_CALLER, PageMemory, Remembered,
    };

    const CALLER: CallerKey = CallerKey::Account(1);
    const SIZE: u32 = 3;
    #[expect(clippy::cast_possible_truncation, reason = "it is small")]
    const MOST_PAGES: u32 = PAGES_PER_CALLER as u32;

    fn now() -> NaiveDateTime {
        DateTime::from_timestamp(1_780_000_000, 0).unwrap().naive_utc()
    }

    fn end(id: i64) -> PageEnd {
        let position = Position { at: now(), distance: 0, id };
        PageEnd { position, count: Count::of(7), is_tied: false, location: None }
    }

    /// Gives a caller the page of a list with this number, which ends at this id.
    fn give(memory: &PageMemory, caller: CallerKey, list: &str, number: u32, id: i64, at: NaiveDateTime) {
        let key = memory.key(caller, list, SIZE, number);
        memory.remember(&memory.given(key, "tag", end(id)), at);
    }

    fn start(
        memory: &PageMemory,
        caller: CallerKey,
        list: &str,
        number: u32,
        at: NaiveDateTime,
    ) -> Option<Start> {
        memory.find(&memory.key(caller, list, SIZE, number), at).start
    }

    #[test]
    fn the_next_page_starts_where_the_last_one_ended() {
        let memory = PageMemory::new(1).unwrap();
        give(&memory, CALLER, "a", 1, 10, now());
        give(&memory, CALLER, "a", 2, 20, now());
        let after = |id, skip| Some(Start::After { end: end(id), skip });
        assert_eq!(start(&memory, CALLER, "a", 1, now()), None, "page 1 is always read anew");
        assert_eq!(start(&memory, CALLER, "a", 2, now()), after(10, 0));
        assert_eq!(start(&memory, CALLER, "a", 3, now()), after(20, 0));
        assert_eq!(start(&memory, CALLER, "a", 5, now()), after(20, 2 * SIZE));
        let nearest = 3 + MOST_SKIPPED_ROWS / SIZE;
        assert_eq!(start(&memory, CALLER, "a", nearest, now()), after(20, MOST_SKIPPED_ROWS / SIZE * SIZE));
        assert_eq!(start(&memory, CALLER, "a", nearest + 1, now()), None, "too far to be near");
        assert_eq!(start(&memory, CALLER, "a", u32::MAX, now()), None);
        for (caller, list) in [(CallerKey::Account(2), "a"), (CALLER, "b")] {
            assert_eq!(start(&memory, caller, list, 2, now()), None, "another caller, another list");
        }
        let other_size = memory.key(CALLER, "a", SIZE + 1, 2);
        assert_eq!(memory.find(&other_size, now()).start, None, "another page size");
        give(&memory, CALLER, "a", 1, 11, now() + TimeDelta::minutes(1));
        let later = now() + LIFETIME;
        assert_eq!(start(&memory, CALLER, "a", 3, later - TimeDelta::microseconds(1)), after(20, 0));
        assert_eq!(
            start(&memory, CALLER, "a", 3, later),
            after(11, SIZE),
            "page 2 is forgotten after an hour"
        );
        assert_eq!(start(&memory, CALLER, "a", 2, later + TimeDelta::minutes(1)), None);
    }

    #[test]
    fn a_page_is_given_again_only_with_its_own_tag() {
        let memory = PageMemory::new(1).unwrap();
        let key = memory.key(CALLER, "a", SIZE, 1);
        assert!(memory.given_again(key, &memory.find(&key, now()), "tag").is_none());
        give(&memory, CALLER, "a", 1, 10, now());
        let known = memory.find(&key, now());
        assert!(memory.given_again(key, &known, "other").is_none());
        let again = memory.given_again(key, &known, "tag").unwrap();
        assert_eq!((again.end, again.key), (end(10), key));
    }

    /// The heap that a generation really uses.
    fn heap(generation: &Generation) -> usize {
        let buckets = (generation.callers.capacity() * 8).div_ceil(7).next_power_of_two();
        let table = if generation.callers.capacity() == 0 {
            0
        } else {
            buckets * (size_of::<(CallerKey, super::Pages)>() + 1)
        };
        let pages: usize =
            generation.callers.values().map(|pages| pages.capacity() * size_of::<Remembered>()).sum();
        table + pages
    }

    #[test]
    fn memory_is_bounded_for_any_number_of_callers_and_pages() {
        const MIB: usize = 1024 * 1024;
        assert!(size_of::<Remembered>() <= 112, "a page takes {} bytes", size_of::<Remembered>());
        assert!(PageMemory::new(0).is_none());
        for pages_each in [1, 5, MOST_PAGES + 10] {
            let memory = PageMemory::new(1).unwrap();
            let mut most = 0;
            for caller in 0..40_000 / i64::from(pages_each) {
                for number in 1..=pages_each {
                    give(&memory, CallerKey::Account(caller), "a", number, i64::from(number), now());
                }
                let key = memory.key(CallerKey::Account(caller), "a", SIZE, pages_each + 1);
                assert!(memory.find(&key, now()).start.is_some(), "the newest is known");
                if caller % 64 > 0 && pages_each < 100 {
                    continue;
                }
                let generations = memory.generations();
                let (used, told) = (
                    heap(&generations.young) + heap(&generations.old),
                    generations.young.bytes + generations.old.bytes,
                );
                // The smallest table has more room than one caller takes.
                assert!(used <= told + 1_000 && used.max(told) <= MIB, "{used} bytes used, {told} told");
                most = most.max(told);
                drop(generations);
            }
            assert!(most > MIB * 7 / 10, "only {most} bytes are used with {pages_each} pages each");
            let counted =
                |generation: &Generation| generation.callers.values().map(super::Pages::len).sum::<usize>();
            let generations = memory.generations();
            let pages = counted(&generations.young) + counted(&generations.old);
            drop(generations);
            assert_eq!(memory.size().pages, pages);
        }
    }

    #[test]
    fn one_caller_cannot_make_others_forgotten() {
        let memory = PageMemory::new(1).unwrap();
        give(&memory, CALLER, "a", 1, 10, now());
        let greedy = CallerKey::Network([192, 0, 2, 1].into());
        for number in 1..10_000 {
            give(&memory, greedy, "a", number, 1, now());
        }
        assert!(start(&memory, CALLER, "a", 2, now()).is_some());
        assert_eq!(memory.size().pages, 1 + PAGES_PER_CALLER);
        let oldest = 10_000 - MOST_PAGES;
        let key = |number| memory.key(greedy, "a", SIZE, number);
        assert!(memory.find(&key(oldest), now()).last.is_some());
        assert!(memory.find(&key(oldest - 1), now()).last.is_none());
    }

    proptest! {
        /// Whatever is given and when: the nearest page before is found, as it was given last within the hour.
        #[test]
        fn what_is_found_equals_a_model(
            given in prop::collection::vec((0..3_i64, 0..2_usize, 1..8_u32, 0..25_i64), 1..60),
        ) {
            let memory = PageMemory::new(1).unwrap();
            let (mut time, mut model) = (now(), Vec::new());
            for (id, (caller, list, number, minutes)) in (1..).zip(given) {
                time += TimeDelta::minutes(minutes);
                let list = ["a", "b"][list];
                give(&memory, CallerKey::Account(caller), list, number, id, time);
                model.push((caller, list, number, id, time));
                for asked in 1..9 {
                    let known = model.iter().filter(|page| (page.0, page.1) == (caller, list));
                    let known = known.filter(|page| page.2 < asked && time - page.4 < LIFETIME);
                    let nearest = known.max_by_key(|page| (page.2, page.3));
                    let expected = nearest.map(|page| Start::After {
                        end: end(page.3),
                        skip: (asked - page.2 - 1) * SIZE,
                    });
                    prop_assert_eq!(start(&memory, CallerKey::Account(caller), list, asked, time), expected);
                }
            }
        }

        /// Several walkers with one key, while others publish: none of them loses a row, and none is given more rows
        /// twice than by counting rows. A walker alone is given each row once.
        #[test]
        fn walkers_with_one_key_are_never_worse_off_than_by_counting(
            walkers in 1..4_usize,
            steps in prop::collection::vec((0..4_usize, 0..3_i64, 0..40_i64, any::<prop::sample::Index>()), 1..80),
        ) {
            let memory = PageMemory::new(1).unwrap();
            // The list has the ids from `newest` down. Each walker has the number and last row of their last page.
            let (mut newest, mut time) = (1_000_i64, now());
            let mut last_pages = vec![None; walkers];
            for (walker, published, minutes, again) in steps {
                newest += published;
                time += TimeDelta::minutes(minutes);
                let walker = walker % walkers;
                // Sometimes a walker begins anew.
                let last = last_pages[walker].filter(|_| again.index(8) > 0);
                let number = last.map_or(1, |(number, _)| number + 1);
                let counted = newest - i64::from((number - 1) * SIZE);
                let first = match start(&memory, CALLER, "a", number, time) {
                    Some(Start::After { end, skip }) => end.position.id - 1 - i64::from(skip),
                    _ => counted,
                };
                prop_assert!(first <= counted, "more rows twice than by counting");
                if let Some((_, last)) = last {
                    prop_assert!(first >= last - 1, "rows are lost");
                    prop_assert!(walkers > 1 || first == last - 1, "a row is repeated");
                }
                let last = first - i64::from(SIZE) + 1;
                give(&memory, CALLER, "a", number, last, time);
                last_pages[walker] = Some((number, last));
            }
        }
    }
}
