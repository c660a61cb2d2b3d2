//! Dead letters: counted, shown, and sent again when that is meant.

use std::collections::BTreeSet;
use std::time::Duration;

use kurier_broker::{Api, EmbeddedCluster, Fault, FaultAction};
use kurier_dashboard::Dashboard;
use kurier_tests::answer::Answer;
use kurier_tests::audit;
use serde_json::{Value, json};

use crate::asking::{AUTHORIZED, Written, dashboard, get, post, write};

const PATH: &str = "/api/v1/dead-letters/orders.dlq";
pub const REPLAY: &str = "/api/v1/dead-letters/orders.dlq/replay";
const COUNT: u64 = 90;

/// A third of them rejected, and one that is no dead letter.
pub async fn filled() -> EmbeddedCluster {
    let cluster = EmbeddedCluster::builder().topic("orders", 3).topic("orders.dlq", 3);
    let cluster = cluster.start().await.unwrap();
    let foreign = Written { value: b"foreign".to_vec(), ..Written::default() };
    let letters = (0..COUNT).map(letter).chain([foreign]).collect();
    write(&cluster.bootstrap(), "orders.dlq", letters).await;
    cluster
}

/// One of them.
fn letter(number: u64) -> Written {
    let rejected = number.is_multiple_of(3);
    let cause = if rejected { "rejected" } else { "retries-exhausted" };
    let error = if rejected { "no such item" } else { "refused by <b>10.0.0." };
    let failed = format!("2026-01-31T12:00:{:02}.000Z", number % 60);
    let headers = [
        ("kurier.dlq.topic", "orders".to_owned()),
        ("kurier.dlq.partition", "0".to_owned()),
        ("kurier.dlq.offset", number.to_string()),
        ("kurier.dlq.cause", cause.to_owned()),
        ("kurier.dlq.error", format!("{error} {number}")),
        ("kurier.dlq.attempts", "5".to_owned()),
        ("kurier.dlq.first-failure", failed.clone()),
        ("kurier.dlq.last-failure", failed),
        ("kurier.dlq.group", "billing".to_owned()),
        ("kurier.dlq.hops", "1".to_owned()),
    ];
    Written {
        partition: i32::try_from(number % 3).unwrap(),
        key: Some(format!("key-{}", number % 7)),
        value: number.to_string().into_bytes(),
        millis: 1_700_000_000_000,
        headers: headers.to_vec(),
    }
}

/// The numbers of the letters that are in the topic they come from.
async fn replayed(cluster: &EmbeddedCluster) -> Vec<u64> {
    let bootstrap = cluster.bootstrap();
    let found = tokio::task::spawn_blocking(move || audit::read(&bootstrap, "orders"));
    let found = found.await.unwrap().unwrap();
    let number = |value: &[u8]| std::str::from_utf8(value).unwrap().parse().unwrap();
    found.iter().map(|record| number(record.value.as_deref().unwrap())).collect()
}

#[tokio::test]
async fn letters_are_counted_by_what_they_have_in_common_and_the_newest_shown() {
    let cluster = filled().await;
    let dashboard = dashboard(&cluster).await;
    let all = get(&dashboard, PATH).await.json();
    let kinds: Vec<Value> = all["by_error"].as_array().unwrap().clone();
    let told: Vec<_> = kinds.iter().map(|it| (&it["cause"], &it["error"], &it["count"])).collect();
    let (exhausted, rejected) = (json!("retries-exhausted"), json!("rejected"));
    let (refused, none) = (json!("refused by <b><n>.<n>.<n>. <n>"), json!("no such item <n>"));
    assert_eq!(told, [(&exhausted, &refused, &json!(60)), (&rejected, &none, &json!(30))]);
    assert_eq!(kinds[1]["contains"], "no such item");
    assert_eq!((&all["foreign"], &all["scanned"], &all["of"]), (&json!(1), &json!(91), &json!(91)));
    assert_eq!(all["stopped"], "end");
    let letters = all["letters"].as_array().unwrap();
    assert_eq!(letters.len(), 50);
    assert_eq!(letters[0]["last_failure"], "2026-01-31T12:00:59Z");
    assert_eq!(letters[0]["source"][0], "orders");
    assert_eq!(letters[0]["headers"], json!([]), "kurier's own stand beside it");
    let some = get(&dashboard, &format!("{PATH}?cause=rejected&error=item&limit=7")).await.json();
    let letters = some["letters"].as_array().unwrap();
    assert!(letters.len() == 7 && letters.iter().all(|it| it["cause"] == "rejected"), "{some}");
    dashboard.close().await;
}

#[tokio::test]
async fn a_replay_is_told_first_and_done_when_it_is_meant_and_nothing_is_lost() {
    let cluster = filled().await;
    let dashboard = dashboard(&cluster).await;
    for body in [json!({}), json!({ "dry_run": true })] {
        let told = post(&dashboard, REPLAY, "", &body).await.json();
        assert_eq!((&told["done"], &told["running"]), (&json!(false), &json!(false)), "{told}");
        assert_eq!((&told["replayed"], &told["left"]), (&json!(90), &json!([["foreign", 1]])));
        assert_eq!(told["to"], json!(["orders"]));
    }
    let some = json!({ "cause": "rejected", "error": "no such item", "max": 10 });
    let told = post(&dashboard, REPLAY, "", &some).await.json();
    assert_eq!((&told["replayed"], &told["stopped"]), (&json!(10), &Value::Null));
    assert_eq!(replayed(&cluster).await, Vec::<u64>::new(), "nothing was sent");
    assert_eq!(get(&dashboard, REPLAY).await.status, 404, "none was begun");

    let rejected = json!({ "cause": "rejected", "dry_run": false });
    let done = replay(&dashboard, &rejected).await;
    assert_eq!(
        (&done["done"], &done["replayed"], &done["passed_over"]),
        (&json!(true), &json!(30), &json!(61))
    );
    let thirds: BTreeSet<u64> = (0..COUNT).filter(|number| number.is_multiple_of(3)).collect();
    assert_eq!(replayed(&cluster).await.into_iter().collect::<BTreeSet<_>>(), thirds);
    // The same again has nothing left to do.
    assert_eq!(replay(&dashboard, &rejected).await["replayed"], 0);
    let all = replay(&dashboard, &json!({ "dry_run": false })).await;
    assert_eq!((&all["replayed"], &all["left"]), (&json!(90), &json!([["foreign", 1]])));
    let found: BTreeSet<u64> = replayed(&cluster).await.into_iter().collect();
    assert_eq!(found, (0..COUNT).collect(), "0 lost");
    assert_eq!(get(&dashboard, REPLAY).await.json(), all);
    let events = get(&dashboard, "/api/v1/events?kind=action").await.json();
    assert_eq!(events["events"].as_array().unwrap().len(), 3, "{events}");
    let missing = json!({ "to": "none", "dry_run": false });
    let missing = post(&dashboard, REPLAY, AUTHORIZED, &missing).await;
    assert!(missing.status == 400 && missing.problem().contains("none"), "{missing:?}");
    dashboard.close().await;
}

/// Replays, and waits for the end.
async fn replay(dashboard: &Dashboard, body: &Value) -> Value {
    let begun = post(dashboard, REPLAY, AUTHORIZED, body).await;
    settled(dashboard, begun).await
}

/// Waits for the end of a replay that was answered so.
pub async fn settled(dashboard: &Dashboard, mut answer: Answer) -> Value {
    while answer.status == 202 || answer.json()["running"] == true {
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer = get(dashboard, REPLAY).await;
    }
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Replays the rest, after which nothing is lost.
pub async fn all_replayed(cluster: &EmbeddedCluster) {
    let dashboard = dashboard(cluster).await;
    replay(&dashboard, &json!({ "dry_run": false })).await;
    let found: BTreeSet<u64> = replayed(cluster).await.into_iter().collect();
    assert_eq!(found, (0..COUNT).collect(), "0 lost");
    dashboard.close().await;
}

#[tokio::test]
async fn a_replay_that_runs_is_not_begun_twice_and_one_that_is_left_goes_on() {
    let cluster = filled().await;
    let dashboard = dashboard(&cluster).await;
    let slow = FaultAction::Delay(Duration::from_secs(5));
    let slow = cluster.faults().add(Fault::on(Api::Produce).topic("orders"), slow).unwrap();
    let all = json!({ "dry_run": false });
    let (first, second) = tokio::join!(post(&dashboard, REPLAY, AUTHORIZED, &all), async {
        while get(&dashboard, REPLAY).await.status == 404 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let running = get(&dashboard, REPLAY).await.json();
        assert_eq!((&running["running"], &running["done"]), (&json!(true), &json!(false)));
        post(&dashboard, REPLAY, AUTHORIZED, &all).await
    });
    assert_eq!(second.status, 409, "{second:?}");
    assert!(second.problem().contains("is running since"), "{second:?}");
    assert!(first.status == 200 || first.status == 202, "{first:?}");
    tokio::time::timeout(Duration::from_secs(5), dashboard.close()).await.unwrap();
    slow.clear();
    all_replayed(&cluster).await;
}

#[tokio::test]
async fn only_so_many_replays_run_at_once_and_the_next_when_one_has_ended() {
    let cluster = EmbeddedCluster::builder().topic("orders", 3);
    let topics = ["a.dlq", "b.dlq", "c.dlq"];
    let cluster = topics.iter().fold(cluster, |cluster, topic| cluster.topic(*topic, 1));
    let cluster = cluster.start().await.unwrap();
    for topic in topics {
        write(&cluster.bootstrap(), topic, vec![Written { partition: 0, ..letter(3) }]).await;
    }
    let dashboard = dashboard(&cluster).await;
    let slow = FaultAction::Delay(Duration::from_millis(1500));
    let slow = cluster.faults().add(Fault::on(Api::Produce).topic("orders"), slow).unwrap();
    let all = json!({ "dry_run": false });
    let path = |topic| format!("/api/v1/dead-letters/{topic}/replay");
    let [a, b, c] = topics.map(path);
    let begin = |path| post(&dashboard, path, AUTHORIZED, &all);
    let (a, b, third) = tokio::join!(begin(&a), begin(&b), async {
        while get(&dashboard, &a).await.status == 404 || get(&dashboard, &b).await.status == 404 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        begin(&c).await
    });
    assert_eq!((a.status, b.status), (200, 200), "{a:?} {b:?}");
    assert_eq!((third.status, third.headers["retry-after"].as_str()), (429, "2"), "{third:?}");
    assert!(third.problem().contains("2 replays are running"), "{third:?}");
    slow.clear();
    let later = begin(&c).await;
    assert_eq!((later.status, &later.json()["replayed"]), (200, &json!(1)), "{later:?}");
    dashboard.close().await;
}
