//! Compares the statements that connections send with those recorded in `tests/sql`.
//!
//! Each engine has a folder there. Its `statements.txt` lists every statement that a request can send, with the hash of
//! its text. Formatted files beside it show the text of each kind of statement. `tests/sql.rs` writes and checks both.
//! With this module, tests of the whole service check that it sends no other statements.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;

use diesel::connection::InstrumentationEvent;
use sha2::{Digest, Sha256};

use crate::db::Engine;

static SENT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

#[expect(clippy::needless_pass_by_value, reason = "Diesel calls it so")]
fn note(event: InstrumentationEvent<'_>) {
    if let InstrumentationEvent::StartQuery { query, .. } = event {
        let text = query.to_string();
        // Diesel prints the binds after the text.
        let text = text.split(" -- binds: ").next().unwrap_or_default().to_owned();
        SENT.lock().expect("no test panics while it holds this").insert(text);
    }
}

/// Records the texts of all statements that this process sends on connections that it opens from now on.
///
/// # Panics
/// When another thread panicked while it called this.
pub fn note_all() {
    diesel::connection::set_default_instrumentation(|| Some(Box::new(note)))
        .expect("no thread panics while it sets this");
}

/// Returns the recorded texts and clears them.
///
/// # Panics
/// When another thread panicked while it recorded one.
#[must_use]
pub fn take_noted() -> BTreeSet<String> {
    std::mem::take(&mut *SENT.lock().expect("no test panics while it holds this"))
}

/// The folder of an engine's recorded statements.
#[must_use]
pub fn folder(engine: Engine) -> PathBuf {
    let engine = format!("{engine:?}").to_lowercase();
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sql").join(engine)
}

/// The part of a statement's text that is always the same.
///
/// Texts of one statement may differ in the syntax of binds, in the number of values in a list, and in the columns that
/// an UPDATE sets.
#[must_use]
pub fn shape(text: &str) -> String {
    let mut shape = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find([':', '$', '?']) {
        let (before, bind) = rest.split_at(at);
        shape.push_str(before);
        shape.push('?');
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        rest = bind[1..].trim_start_matches(is_name);
    }
    shape.push_str(rest);
    while shape.contains("?, ?") {
        shape = shape.replace("?, ?", "?");
    }
    let set = shape.find(" SET ").filter(|_| shape.contains("*/ UPDATE"));
    if let Some((start, end)) = set.and_then(|set| Some((set + 5, set + shape[set..].find(" WHERE ")?))) {
        shape.replace_range(start..end, "…");
    }
    shape
}

/// The hash of a statement's [`shape`], as in `statements.txt`.
#[must_use]
pub fn hash(text: &str) -> String {
    let digest = Sha256::digest(shape(text));
    digest.iter().take(8).fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"))
}

/// The named statements that are not recorded for `engine`.
///
/// Statements without a name are transaction control or belong to tests. Another test checks that all statements of
/// requests have a name.
///
/// # Panics
/// When `statements.txt` cannot be read.
#[must_use]
pub fn unknown(engine: Engine, sent: &BTreeSet<String>) -> Vec<String> {
    let file = folder(engine).join("statements.txt");
    let list = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let known: BTreeSet<_> = list.lines().filter_map(|line| line.split(' ').next()).collect();
    let named = sent.iter().filter(|text| text.starts_with("/* "));
    named.filter(|text| !known.contains(hash(text).as_str())).cloned().collect()
}

/// A guard that checks, when it is dropped, that every statement sent is recorded for one of the engines.
#[derive(Debug)]
pub struct OnlyKnown(());

impl OnlyKnown {
    /// Starts recording. It must be called before the first connection opens.
    #[must_use]
    pub fn from_now_on() -> Self {
        note_all();
        Self(())
    }
}

impl Drop for OnlyKnown {
    fn drop(&mut self) {
        let unknown =
            unknown(Engine::Sqlite, &unknown(Engine::Postgres, &take_noted()).into_iter().collect());
        // A second panic would hide the first.
        assert!(
            unknown.is_empty() || std::thread::panicking(),
            "crates/feed-core/tests/sql.rs has no cases for these statements: {unknown:#?}"
        );
    }
}
