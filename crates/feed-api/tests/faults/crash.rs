//! Processes that end: the service's own and the database's.

use feed_core::db::Engine;
use feed_core::testing::TestDatabase;
use feed_test::binary::{Running, signal};
use pretty_assertions::assert_eq;

use crate::client::Client;
use crate::load::Load;
use crate::report::Report;
use crate::server::OwnServer;
use crate::{ENGINES, serve};

#[test]
fn what_was_acknowledged_survives_a_kill_in_the_middle_of_writes() {
    for engine in ENGINES {
        let mut report = Report::of("service killed during writes", engine);
        let test = TestDatabase::new(engine);
        let server = Running::start(&mut serve(&test.url, &[]));
        let client = Client::register(&server.address);
        let load = Load::during(&client, |load| {
            load.keeps(80);
            signal(&server.child, "-KILL");
        });

        let again = Running::start(&mut serve(&test.url, &[]));
        let client = client.at(&again.address);
        report.tell(load.sent(), load.kept().count(), load.kept().is_found_by(&client));
        assert!(client.publish().is_some());
    }
}

/// One instance takes the place of another, as often as a busy day has deployments.
#[test]
fn a_restart_fails_nobody_who_keeps_to_readiness() {
    for engine in ENGINES {
        let mut report = Report::of("service restarted under load", engine);
        let test = TestDatabase::new(engine);
        let start = || Running::start(&mut serve(&test.url, &["--drain-delay", "1"]));
        let mut server = start();
        let client = Client::register(&server.address);
        let load = Load::during(&client, |load| {
            for _ in 0..3 {
                load.keeps(40);
                let next = start();
                signal(&server.child, "-TERM");
                // What a load balancer does: it asks, and sends no more once the answer is no.
                while server.status("/readyz") == 200 {
                    std::thread::yield_now();
                }
                load.move_to(&next.address);
                assert!(server.child.wait().unwrap().success());
                server = next;
            }
            load.keeps(40);
        });
        let client = client.at(&server.address);
        let found = load.kept().is_found_by(&client);
        report.tell(load.sent(), load.kept().count(), format!("{found}; 3 restarts"));
        assert_eq!((load.refused(), load.unanswered()), (0, 0), "refused and unanswered");
    }
}

fn while_the_server_is_away(fault: &'static str, take_away: impl Fn(&OwnServer)) {
    let mut report = Report::of(fault, Engine::Postgres);
    let database = OwnServer::start();
    let server = Running::start(&mut serve(&database.url, &["--migrate", "--connection-timeout", "500"]));
    let client = Client::register(&server.address);
    let load = Load::during(&client, |load| {
        for _ in 0..2 {
            load.keeps(40);
            take_away(&database);
            for _ in 0..3 {
                client.refused("/api/feed/");
                client.refused("/readyz");
                assert_eq!(client.status("/healthz"), 200);
                assert!(client.publish().is_none());
            }
            database.start_again();
            client.is_back_within(5);
        }
        load.keeps(40);
    });
    assert_eq!(load.unanswered(), 0, "everybody is told");
    assert!(load.refused() > 0, "the load went on");
    let found = load.kept().is_found_by(&client);
    report.tell(
        load.sent(),
        load.kept().count(),
        format!("{found}; {} times 503; twice back in 5 s", load.refused()),
    );
}

#[test]
fn postgres_is_stopped_and_started_again() {
    while_the_server_is_away("PostgreSQL stopped", OwnServer::stop);
}

#[test]
fn postgres_is_killed_and_started_again() {
    while_the_server_is_away("PostgreSQL killed", OwnServer::kill);
}
