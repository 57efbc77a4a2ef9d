//! Writers who never stop, and who remember what was acknowledged.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use pretty_assertions::assert_eq;

use crate::client::{Client, Outcome};

/// Writers at once.
const WRITERS: usize = 4;

/// Several writers of one account, each of whom publishes a flyer, favorites it, and begins anew.
pub struct Load {
    client: Mutex<Client>,
    sent: AtomicUsize,
    refused: AtomicUsize,
    unanswered: AtomicUsize,
    kept: Mutex<Kept>,
    is_over: AtomicBool,
    has_failed: AtomicBool,
}

/// What was acknowledged.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    pub flyers: Vec<i64>,
    pub favorites: Vec<i64>,
}

impl Kept {
    pub fn count(&self) -> usize {
        self.flyers.len() + self.favorites.len()
    }

    /// Adds what was acknowledged elsewhere.
    pub fn add(&mut self, more: Self) {
        self.flyers.extend(more.flyers);
        self.favorites.extend(more.favorites);
    }

    /// Asserts that all of it is there, and tells so.
    #[track_caller]
    pub fn is_found_by(&self, client: &Client) -> String {
        let flyers =
            self.flyers.iter().filter(|id| client.status(&format!("/api/flyers/{id}/")) == 200).count();
        let all = client.favorites();
        let favorites = self.favorites.iter().filter(|id| all.contains(id)).count();
        assert_eq!((flyers, favorites), (self.flyers.len(), self.favorites.len()), "flyers and favorites");
        format!("{flyers} flyers, {favorites} favorites")
    }
}

impl Load {
    /// Writes as `client` for as long as `fault` takes.
    pub fn during(client: &Client, fault: impl FnOnce(&Self)) -> Self {
        let load = Self {
            client: Mutex::new(client.clone()),
            sent: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            kept: Mutex::default(),
            is_over: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
        };
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(|| load.write())).collect();
            // Where the fault's assertions fail: the scope waits for the writers.
            let _over = Over(&load.is_over);
            fault(&load);
            load.is_over.store(true, Ordering::Relaxed);
            for writer in writers {
                writer.join().unwrap();
            }
        });
        load
    }

    /// Goes on at another address, for requests that begin from now on.
    pub fn move_to(&self, address: &str) {
        let mut client = self.client.lock().unwrap();
        *client = client.at(address);
    }

    /// Waits until so many more writes were acknowledged.
    #[track_caller]
    pub fn keeps(&self, more: usize) {
        let end = self.kept.lock().unwrap().count() + more;
        while self.kept.lock().unwrap().count() < end {
            self.asserts_writers();
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[track_caller]
    fn asserts_writers(&self) {
        assert!(!self.has_failed.load(Ordering::Relaxed), "a writer had an answer that no fault explains");
    }

    /// Waits until so many more writes were refused.
    #[track_caller]
    pub fn refuses(&self, more: usize) {
        let end = self.refused() + more;
        while self.refused() < end {
            self.asserts_writers();
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What was acknowledged so far.
    pub fn kept(&self) -> Kept {
        self.kept.lock().unwrap().clone()
    }

    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Writes that the service refused for the moment.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Writes without an answer.
    pub fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::Relaxed)
    }

    fn write(&self) {
        let _failed = Failed(&self.has_failed);
        let tell = |outcome: Outcome| {
            self.sent.fetch_add(1, Ordering::Relaxed);
            match outcome {
                Outcome::Kept(id) => return Some(id),
                Outcome::Refused => self.refused.fetch_add(1, Ordering::Relaxed),
                Outcome::Silence => self.unanswered.fetch_add(1, Ordering::Relaxed),
            };
            // The next one waits a moment, as callers of a service that is not well should.
            std::thread::sleep(Duration::from_millis(5));
            None
        };
        while !self.is_over.load(Ordering::Relaxed) {
            let client = self.client.lock().unwrap().clone();
            let Some(flyer) = tell(client.send_flyer()) else { continue };
            self.kept.lock().unwrap().flyers.push(flyer);
            let Some(favorite) = tell(client.favorite(flyer)) else { continue };
            self.kept.lock().unwrap().favorites.push(favorite);
        }
    }
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Failed<'a>(&'a AtomicBool);

impl Drop for Failed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
