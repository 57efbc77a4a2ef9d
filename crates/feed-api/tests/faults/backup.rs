//! The README's lines for a copy of the database and for its return.

use std::path::Path;
use std::process::Command;

use feed_core::db::Engine;
use feed_test::binary::{Running, signal};
use pretty_assertions::assert_eq;

use crate::client::Client;
use crate::load::Load;
use crate::report::Report;
use crate::serve;

const README: &str = include_str!("../../../../README.md");

/// Runs a line of the README in `folder`, and returns its exit.
fn run(line: &str, folder: &Path) -> bool {
    let binary = Path::new(env!("CARGO_BIN_EXE_feed-api")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-euc", line]).current_dir(folder).env("PATH", path).env_remove("DATABASE_URL");
    command.status().unwrap().success()
}

#[test]
fn a_copy_that_was_taken_under_load_comes_back_with_all_that_was_acknowledged_before() {
    let mut report = Report::of("copied under load, and put back", Engine::Sqlite);
    let lines: Vec<_> = README.lines().map(str::trim).filter(|line| line.contains("backup.db")).collect();
    let [copy, put_back] = lines[..] else { panic!("{lines:?}") };
    let folder = tempfile::tempdir().unwrap();
    let start = || Running::start(serve("sqlite://pockitflyer.db", &[]).current_dir(&folder));

    let server = start();
    let client = Client::register(&server.address);
    let mut before = None;
    let load = Load::during(&client, |load| {
        load.keeps(200);
        before = Some(load.kept());
        assert!(run(copy, folder.path()));
        load.keeps(40);
        assert!(!run(copy, folder.path()), "it overwrote the copy");
        load.keeps(40);
        // So that all of its files are left behind.
        signal(&server.child, "-KILL");
    });
    drop(server);
    let files = |name: &str| folder.path().join(name).exists();
    assert!(files("pockitflyer.db-wal") && !files("backup.db.part"));

    assert!(run(put_back, folder.path()));
    let again = start();
    let client = client.at(&again.address);
    let before = before.unwrap();
    let found = before.is_found_by(&client);
    let gone =
        load.kept().flyers.into_iter().filter(|id| client.status(&format!("/api/flyers/{id}/")) == 404);
    let gone = gone.count();
    assert!(gone >= 20, "the database is another one than the copy: {gone} are gone");
    report.tell(
        load.sent(),
        load.kept().count(),
        format!("{found} of before; {gone} flyers of afterwards gone"),
    );
    assert_eq!(client.status("/api/feed/?search=flyer"), 200);
    assert!(client.publish().is_some());
}
