//! Measures the cost of instrumentation. The target is at most 15 µs for a feed's four statements and its answer.
#![expect(clippy::unwrap_used, reason = "a panic is how a bench fails")]

use std::fs::File;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::middleware::{Condition, from_fn};
use actix_web::rt::System;
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::{App, HttpResponse, web};
use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use diesel::prelude::*;
use feed_api::config::{
    AdminConfig, DatabaseConfig, LimitConfig, RateConfig, Secret, ServeConfig, TokenConfig,
};
use feed_api::metrics::Metrics;
use feed_api::state::State;
use feed_api::{telemetry, usage};
use feed_core::clock::Clock;
use feed_core::db::{Db, Engine, Usage, measured};
use feed_core::sql::Statement;
use feed_core::testing::TestDatabase;
use feed_test::bench::run;

fn main() {
    // The log is set up as in production, except that it writes to no disk or pipe.
    let log = Arc::new(File::options().write(true).open("/dev/null").unwrap());
    tracing_subscriber::fmt().json().flatten_event(true).with_writer(log).init();

    let mut criterion: Criterion = run::criterion();
    let test = TestDatabase::new(Engine::Sqlite);
    let mut group = criterion.benchmark_group("instrumentation");
    requests(&mut group, &test);
    statements(&mut group, &test);
    group.finish();
    criterion.final_summary();
}

/// Measures a request with its log line, metrics and `Server-Timing`, and a request without them.
fn requests(group: &mut BenchmarkGroup<'_, WallTime>, test: &TestDatabase) {
    let state = web::Data::new(
        State::new(&config(test), &test.database, Clock::default(), Metrics::new(&test.database, []))
            .unwrap(),
    );
    let system = System::new();
    for (id, is_observed) in [("request bare", false), ("request observed", true)] {
        let app = App::new()
            .app_data(state.clone())
            .route("/api/feed", web::get().to(feed))
            .wrap(Condition::new(is_observed, from_fn(telemetry::observe)));
        let app = system.block_on(init_service(app));
        group.bench_function(id, |b| {
            b.iter_custom(|times| {
                system.block_on(timed(times, async || {
                    let request = TestRequest::get().uri("/api/feed").to_request();
                    assert!(call_service(&app, request).await.status().is_success());
                }))
            });
        });
    }
}

async fn timed<F: Future<Output = ()>>(times: u64, work: impl Fn() -> F) -> Duration {
    let started = Instant::now();
    for _ in 0..times {
        work().await;
    }
    started.elapsed()
}

/// Answers like a feed that has sent four statements.
async fn feed() -> HttpResponse {
    let database = Duration::from_micros(700);
    usage::add(Usage { statements: 4, database, waiting: Duration::from_micros(3) });
    usage::rows(20);
    HttpResponse::Ok().finish()
}

/// Measures four statements on a connection that counts them, and on one that does not.
fn statements(group: &mut BenchmarkGroup<'_, WallTime>, test: &TestDatabase) {
    let four = |c: &mut Db| {
        for _ in 0..4 {
            let one = Statement::<diesel::sql_types::BigInt>::new("SELECT 1".to_owned(), &[]);
            assert_eq!(one.get_result::<i64>(c).unwrap(), 1);
        }
    };
    let bench = |c: &mut Db, id: &str, group: &mut BenchmarkGroup<'_, WallTime>| {
        group.bench_function(id, |b| b.iter(|| measured(|| four(c))));
    };
    let both = |c: &mut Db| {
        bench(c, "four statements metered", group);
        c.set_instrumentation(None::<Box<dyn diesel::connection::Instrumentation>>);
        bench(c, "four statements bare", group);
        Ok(())
    };
    test.database.with_writer(both).unwrap();
}

fn config(test: &TestDatabase) -> ServeConfig {
    ServeConfig {
        bind: "127.0.0.1:0".to_owned(),
        database: DatabaseConfig { database_url: test.url.clone(), database_connections: 4 },
        migrate: false,
        tokens: TokenConfig::new(Secret::from("the secret of a server that nobody calls"), 60),
        public_url: None,
        cors_origins: None,
        cors_headers: None,
        workers: Some(1),
        limits: LimitConfig::default(),
        rates: RateConfig::off(),
        admin: AdminConfig { server_timing: true, ..AdminConfig::default() },
        sweep_interval: 0,
    }
}
