//! The disk under an embedded file: full, failing for a while, or not to be written at all.

use std::path::Path;

use feed_core::db::Engine;
use feed_core::testing::TestDatabase;
use feed_test::binary::{Running, signal};
use pretty_assertions::assert_eq;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::client::Client;
use crate::load::{Kept, Load};
use crate::report::Report;
use crate::{after, serve};

#[test]
fn a_full_disk_stops_writes_and_no_reads_and_harms_nothing() {
    let mut report = Report::of("disk full", Engine::Sqlite);
    let test = TestDatabase::new(Engine::Sqlite);
    // The process may write files of so many blocks of 512 bytes, and is told so instead of being killed.
    let limited = "trap '' XFSZ; ulimit -f 4000; exec";
    let (mut sent, mut refused, mut kept) = (0, 0, Kept::default());
    {
        let server = Running::start(&mut after(limited, &serve(&test.url, &[])));
        let client = Client::register(&server.address);
        let mut publish = || {
            sent += 1;
            let flyer = client.publish();
            kept.flyers.extend(flyer);
            refused += usize::from(flyer.is_none());
            flyer.is_some()
        };
        for flyers in 0.. {
            if !publish() {
                assert!(flyers > 0, "it was full from the start");
                break;
            }
            assert!(flyers < 5_000, "the disk is never full");
        }
        for _ in 0..3 {
            assert!(!publish());
            assert_eq!(client.status("/api/feed/"), 200);
            assert_eq!(client.status("/healthz"), 200);
        }
    }
    let again = Running::start(&mut serve(&test.url, &[]));
    let client = Client::register(&again.address);
    let found = kept.is_found_by(&client);
    report.tell(sent, kept.count(), format!("{found}; {refused} times 503, feeds all 200"));
    assert!(client.publish().is_some());
}

#[test]
fn a_disk_that_fails_for_a_while_stops_writes_only_so_long() {
    let mut report = Report::of("disk fails for a while", Engine::Sqlite);
    let test = TestDatabase::new(Engine::Sqlite);
    let server = Running::start(&mut after("trap '' XFSZ; exec", &serve(&test.url, &[])));
    let client = Client::register(&server.address);
    let process = Pid::from_raw(i32::try_from(server.child.id()).unwrap());
    let mut feeds = 0;
    let load = Load::during(&client, |load| {
        for _ in 0..3 {
            load.keeps(20);
            // Whatever it writes to a file from now on fails, in the middle of transactions.
            let before = prlimit(process, Resource::Fsize, Rlimit { current: Some(0), maximum: None });
            load.refuses(10);
            for _ in 0..5 {
                assert_eq!(client.status("/healthz"), 200);
                assert!(client.feed(), "what is there can be read");
                feeds += 1;
            }
            prlimit(process, Resource::Fsize, before.unwrap()).unwrap();
            client.is_back_within(5);
        }
        load.keeps(20);
    });
    assert_eq!(load.unanswered(), 0, "everybody is told");
    let found = load.kept().is_found_by(&client);
    let refused = load.refused();
    report.tell(
        load.sent(),
        load.kept().count(),
        format!("{found}; {refused} times 503, {feeds} feeds all 200"),
    );
}

/// Lets everybody read what is in a folder, and nobody write it.
fn make_read_only(folder: &Path, is_read_only: bool) {
    let set = |path: &Path| {
        let mut permissions = path.metadata().unwrap().permissions();
        permissions.set_readonly(is_read_only);
        std::fs::set_permissions(path, permissions).unwrap();
    };
    for entry in folder.read_dir().unwrap() {
        set(&entry.unwrap().path());
    }
    set(folder);
}

/// As after a restore, or a start by another account: the last service was killed, so that all three files are there.
#[test]
fn a_file_that_may_not_be_written_is_read() {
    let mut report = Report::of("database file is read-only", Engine::Sqlite);
    let test = TestDatabase::new(Engine::Sqlite);
    let folder = Path::new(test.url.strip_prefix("sqlite://").unwrap()).parent().unwrap();
    let (client, kept) = {
        let server = Running::start(&mut serve(&test.url, &[]));
        let client = Client::register(&server.address);
        let load = Load::during(&client, |load| load.keeps(20));
        signal(&server.child, "-KILL");
        (client, load.kept())
    };
    make_read_only(folder, true);
    // Permissions do not bind root, who can give that up.
    let bound = if rustix::process::geteuid().is_root() {
        "exec setpriv --bounding-set=-all --inh-caps=-all"
    } else {
        "exec"
    };
    let refused = {
        let server = Running::start(&mut after(bound, &serve(&test.url, &[])));
        let client = client.at(&server.address);
        let load = Load::during(&client, |load| load.refuses(20));
        assert_eq!((load.kept().count(), load.unanswered()), (0, 0));
        client.refuses_a_write();
        assert_eq!(client.status("/healthz"), 200);
        assert_eq!(client.status("/readyz"), 200);
        kept.is_found_by(&client);
        load.refused()
    };
    make_read_only(folder, false);
    let again = Running::start(&mut serve(&test.url, &[]));
    let client = client.at(&again.address);
    let found = kept.is_found_by(&client);
    report.tell(refused + kept.count(), kept.count(), format!("{found}; {refused} times 503, reads all 200"));
    assert!(client.publish().is_some());
}
