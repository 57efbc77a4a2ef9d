//! What happens when there is more to do than can be done.

use feed_core::db::Engine;

use crate::app::App;

#[test]
fn a_write_that_finds_a_lock_taken_is_told_to_come_again() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let app = App::start_with(engine, &["--statement-timeout", "300"]);
        let user = app.user("anna");
        let flyer = app.publish(&user, "Flyer");
        let lock = "UPDATE users SET username = username";
        app.database.while_locked(lock, || {
            let refused = app.put(&format!("/api/favorites/{flyer}/"), &user).expect_problem(503);
            assert_eq!(refused.header("retry-after"), "1");
            app.get("/api/feed/", None).expect(200);
        });
        app.favorite(&user, flyer);
    }
}
