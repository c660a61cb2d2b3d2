//! Who is answered, and what every answer has.

use kurier_broker::EmbeddedCluster;
use serde_json::json;

use crate::asking::{AUTHORIZED, configured, dashboard, get, get_with, post};

#[tokio::test]
async fn a_foreign_name_or_page_is_refused_wherever_it_asks() {
    let cluster = EmbeddedCluster::builder().start().await.unwrap();
    let named = configured(&cluster.bootstrap()).host("dash.example").start().await.unwrap();
    let own = format!("host: {}\r\n", named.address());
    for path in
        ["/", "/dashboard.js", "/api/v1/overview", "/api/v1/stream", "/metrics", "/livez", "/x"]
    {
        let foreign = get_with(&named, path, "host: evil.example\r\n").await;
        assert_eq!(foreign.status, 421, "{path}");
        assert!(foreign.problem().contains("--host evil.example"), "{foreign:?}");
        let page = get_with(&named, path, &format!("{own}origin: http://evil.example\r\n")).await;
        assert_eq!(page.status, 403, "{path}: {page:?}");
        assert_eq!(get_with(&named, path, "").await.status, 400, "{path}: no Host");
    }
    for host in ["localhost", "127.0.0.1:1", "dash.example:8080"] {
        let answer = get_with(&named, "/livez", &format!("host: {host}\r\n")).await;
        assert_eq!(answer.status, 200, "{host}");
    }
    let framed = format!("{own}sec-fetch-site: cross-site\r\n");
    assert_eq!(get_with(&named, "/api/v1/overview", &framed).await.status, 403);
    assert_eq!(get_with(&named, "/", &framed).await.status, 200, "it may be linked to");
    named.close().await;
}

#[tokio::test]
async fn every_answer_is_strict_about_what_a_page_may_do_and_every_problem_is_json() {
    let cluster = EmbeddedCluster::builder().topic("orders", 1).start().await.unwrap();
    let dashboard = dashboard(&cluster).await;
    for (path, status, kind) in [
        ("/", 200, "text/html; charset=utf-8"),
        ("/dashboard.css", 200, "text/css; charset=utf-8"),
        ("/dashboard.js", 200, "text/javascript; charset=utf-8"),
        ("/livez", 200, "text/plain; charset=utf-8"),
        ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8"),
        ("/api/v1/overview", 200, "application/json"),
        ("/api/v1/brokers", 200, "application/json"),
        ("/api/v1/topics?per_page=10&sort=-name", 200, "application/json"),
        ("/api/v1/groups", 200, "application/json"),
        ("/api/v1/clients", 200, "application/json"),
        ("/api/v1/dead-letters", 200, "application/json"),
        ("/api/v1/events?after=1&kind=leader,broker-down", 200, "application/json"),
        ("/nothing", 404, "application/json"),
        ("/api/v1/nothing", 404, "application/json"),
        ("/api/v2/overview", 404, "application/json"),
        ("/../Cargo.toml", 404, "application/json"),
        ("/api/v1/topics/none", 404, "application/json"),
        ("/api/v1/groups/a%2Fb%25%20%C3%A9", 404, "application/json"),
        ("/api/v1/messages/none", 404, "application/json"),
        ("/api/v1/dead-letters/none", 404, "application/json"),
        ("/api/v1/dead-letters/none/replay", 404, "application/json"),
        ("/api/v1/groups/%ff", 400, "application/json"),
        ("/api/v1/overview?x=1", 400, "application/json"),
        ("/api/v1/topics?pgae=1", 400, "application/json"),
        ("/api/v1/topics?page=0", 400, "application/json"),
        ("/api/v1/topics?per_page=201", 400, "application/json"),
        ("/api/v1/events?kind=birthday", 400, "application/json"),
        ("/api/v1/messages/orders?form=end", 400, "application/json"),
        ("/api/v1/messages/orders?from=middle", 400, "application/json"),
        ("/api/v1/messages/orders?limit=501", 400, "application/json"),
        ("/api/v1/messages/orders?partition=7", 404, "application/json"),
        ("/api/v1/messages/orders/tail?limit=1", 400, "application/json"),
        ("/api/v1/dead-letters/orders?cause=none", 400, "application/json"),
        ("/api/v1/groups/g/reset", 405, "application/json"),
    ] {
        let answer = get(&dashboard, path).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert_eq!(answer.headers["content-type"], kind, "{path}");
        for (name, part) in [
            (
                "content-security-policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
            ),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.headers[name], part, "{path}");
        }
        if 400 <= status {
            assert!(!answer.problem().is_empty(), "{path}");
        }
    }
    let named = get(&dashboard, "/api/v1/groups/a%2Fb%25%20%C3%A9").await.problem();
    assert!(named.contains("a/b% é"), "{named}");
    let misspelt = get(&dashboard, "/api/v1/messages/orders?form=end").await.problem();
    assert!(misspelt.contains("form") && misspelt.contains("expected"), "{misspelt}");
    dashboard.close().await;
}

#[tokio::test]
async fn nothing_is_changed_without_the_token_and_nobody_is_told_it() {
    let cluster = EmbeddedCluster::builder().topic("orders", 1).topic("orders.dlq", 1);
    let cluster = cluster.start().await.unwrap();
    let (locked, open) =
        (configured(&cluster.bootstrap()).start().await.unwrap(), dashboard(&cluster).await);
    let replay = json!({ "dry_run": false });
    let reset = json!({ "topic": "orders", "to": "latest", "dry_run": false });
    for (path, body) in
        [("/api/v1/dead-letters/orders.dlq/replay", replay), ("/api/v1/groups/g/reset", reset)]
    {
        let refused = post(&locked, path, AUTHORIZED, &body).await;
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.problem().contains("--token-file"), "{refused:?}");
        for (given, reason) in [
            ("", "Authorization: Bearer"),
            ("authorization: Bearer 0123456789abcdee\r\n", "not the token"),
            ("authorization: Basic MDEyMzQ1Njc4OWFiY2RlZg==\r\n", "not the token"),
        ] {
            let refused = post(&open, path, given, &body).await;
            assert_eq!(refused.status, 401, "{path} {given:?}: {refused:?}");
            assert_eq!(refused.headers["www-authenticate"], "Bearer");
            assert!(refused.problem().contains(reason), "{refused:?}");
            let text = String::from_utf8_lossy(&refused.body).into_owned();
            assert!(!text.contains("0123456789abcdef"), "{text}");
        }
    }
    let overview = get(&open, "/api/v1/overview").await.json();
    assert_eq!(overview["writable"], true);
    assert_eq!(get(&locked, "/api/v1/overview").await.json()["writable"], false);
    open.close().await;
    locked.close().await;
}
