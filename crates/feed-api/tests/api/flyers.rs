//! Publishing, showing and taking back flyers.

use chrono::TimeDelta;
use feed_test::app::{on_both, rfc3339};
use serde_json::{Value, json};

#[test]
fn publishing_answers_with_the_flyer_and_its_place() {
    on_both(|app| {
        let user = app.user("anna");
        let mut flyer = app.flyer("  L'Épicerie \"Bäckerei\"; DROP TABLE flyers  ");
        flyer["description"] = json!("");
        let made = app.post("/api/flyers/", Some(&user), flyer).expect(201);
        let card = made.json();
        assert_eq!(card["title"], "L'Épicerie \"Bäckerei\"; DROP TABLE flyers");
        assert_eq!(card["creator"]["is_following"], false);
        assert_eq!(made.header("location"), app.url(&format!("/api/flyers/{}/", card["id"])));
        let shown = app.get(made.header("location"), None).expect(200).json();
        assert_eq!(shown["images"], card["images"]);
        assert_eq!(shown["is_favorited"], Value::Null);
        assert_eq!(app.get(made.header("location"), Some(&user)).json(), card);
    });
}

#[test]
fn publishing_with_bad_input_names_the_field() {
    on_both(|app| {
        let user = app.user("anna");
        let post = |field: &str, value: Value| {
            let mut flyer = app.flyer("Bread");
            flyer[field] = value;
            app.post("/api/flyers/", Some(&user), flyer)
        };
        let image = |n: usize| vec![json!({"url": "https://a.example/b.jpg"}); n];
        for (field, value) in [
            ("title", json!("")),
            ("title", json!("  \u{2003} ")),
            ("title", json!("ä".repeat(201))),
            ("title", json!(7)),
            ("title", json!(null)),
            ("description", json!("x".repeat(2_001))),
            ("location_address", json!("")),
            ("location_address", json!("x".repeat(501))),
            ("latitude", json!(90.01)),
            ("latitude", json!("47")),
            ("longitude", json!(-180.01)),
            ("valid_from", json!("2026-06-01")),
            ("valid_from", json!("2026-06-01T12:00:00")),
            ("valid_from", json!("2026-06-01T10:59:60Z")),
            ("valid_until", json!("2026-06-01T10:00:00Z")),
            ("valid_until", json!("2026-06-01T11:00:00.250Z")),
            ("valid_until", json!(1_780_000_000)),
            ("categories", json!([])),
            ("categories", json!(["events", "nightlife", "service", "events"])),
            ("images", json!([])),
            ("images", json!(image(6))),
        ] {
            eprintln!("{field} {value}");
            post(field, value).expect_invalid(field);
        }
        post("categories", json!(["food"])).expect_invalid("categories[0]");
        let mut far = app.flyer("Bread");
        far["valid_until"] = json!("2028-01-01T00:00:00Z");
        far["valid_from"] = json!("2027-06-01T12:00:00.251Z");
        app.post("/api/flyers/", Some(&user), far.clone()).expect_invalid("valid_from");
        far["valid_from"] = json!("2027-06-01T12:00:00.250Z");
        app.post("/api/flyers/", Some(&user), far).expect(201);
        for url in
            ["", "/a.jpg", "ftp://a/b.jpg", "javascript:alert(1)", "http:a", "http://a/\nb", "http://a/\"b"]
        {
            post("images", json!([{"url": "https://a.example/b.jpg"}, {"url": url}]))
                .expect_invalid("images[1].url");
        }
        post("images", json!([{}])).expect_invalid("images[0].url");
        post("title", json!("a\0b")).expect_problem(400);
        post("x", json!({"deep": ["a\0b"]})).expect_problem(400);

        post("title", json!("ä".repeat(200))).expect(201);
        post("description", json!("😀".repeat(2_000))).expect(201);
        post("images", json!(image(5))).expect(201);
        post("valid_from", json!("2026-05-01T00:00:00+02:00")).expect(201);
        let mut all = app.flyer("Bread");
        all.as_object_mut().unwrap().remove("images");
        app.post("/api/flyers/", Some(&user), all.clone()).expect_invalid("images");
        app.post("/api/flyers/", None, all).expect_problem(401);
    });
}

#[test]
fn what_does_not_parse_is_told_in_words_for_people() {
    on_both(|app| {
        let user = app.user("anna");
        let told = |field: &str, value: Value| {
            let mut flyer = app.flyer("Bread");
            flyer[field] = value;
            let problem = app.post("/api/flyers/", Some(&user), flyer).expect_problem(400).json();
            problem["error"].as_str().unwrap().to_owned()
        };
        assert_eq!(told("title", json!(1_234_567)), "title must be a string");
        assert_eq!(told("latitude", json!("x".repeat(3_000))), "latitude must be a number");
        assert_eq!(told("images", json!("x")), "images must be a list");
        assert_eq!(told("images", json!(["x"])), "images[0] must be an object");
        assert_eq!(
            told("categories", json!(["x"])),
            "categories[0] must be one of events, nightlife, service"
        );
        assert!(told("valid_from", json!("2026-06-01")).starts_with("valid_from must be an RFC 3339 time"));
        assert_eq!(told("title", json!("")), "title must have 1 to 200 characters");
        let favorite = app.post("/api/favorites/", Some(&user), json!({"flyer_id": "1"})).json();
        assert_eq!(favorite["error"], "flyer_id must be a 64-bit integer");
    });
}

#[test]
fn several_bad_fields_are_told_at_once() {
    on_both(|app| {
        let user = app.user("anna");
        let mut flyer = app.flyer("");
        flyer["latitude"] = json!(91);
        let problem = app.post("/api/flyers/", Some(&user), flyer).expect_invalid("title").json();
        assert_eq!(problem["errors"].as_array().unwrap().len(), 2, "{problem}");
    });
}

#[test]
fn by_id_a_flyer_is_shown_whatever_its_validity() {
    on_both(|app| {
        let user = app.user("anna");
        let flyer = app.publish(&user, "Bread");
        app.pass(TimeDelta::weeks(2));
        let path = format!("/api/flyers/{flyer}/");
        assert_eq!(app.get(&path, None).expect(200).json()["is_valid"], false);
        app.get("/api/flyers/999999/", None).expect_problem(404);
        app.get("/api/flyers/0/", None).expect_invalid("id");
        app.get("/api/flyers/x/", None).expect_invalid("id");
        let mut scheduled = app.flyer("Later");
        scheduled["valid_from"] = json!(rfc3339(app.clock.now() + TimeDelta::days(3)));
        let scheduled = app.post("/api/flyers/", Some(&user), scheduled).expect(201).json();
        assert_eq!(scheduled["is_valid"], false);
    });
}

#[test]
fn only_its_creator_deletes_a_flyer() {
    on_both(|app| {
        let (anna, bea) = (app.user("anna"), app.user("bea"));
        let flyer = app.publish(&anna, "Bread");
        app.favorite(&bea, flyer);
        app.follow(&bea, &anna);
        let path = format!("/api/flyers/{flyer}/");
        app.send("DELETE", &path, None, None).expect_problem(401);
        app.send("DELETE", &path, Some(&bea), None).expect_problem(403);
        app.send("DELETE", "/api/flyers/-1/", Some(&anna), None).expect_invalid("id");
        app.send("DELETE", &path, Some(&anna), None).expect(204);
        for feed in ["/api/feed/", "/api/favorites/feed/", "/api/following/feed/"] {
            assert!(app.ids(feed, Some(&bea)).is_empty(), "it is gone from {feed} at once");
        }
        app.send("DELETE", &path, Some(&anna), None).expect_problem(404);
        app.get(&path, None).expect_problem(404);
    });
}
