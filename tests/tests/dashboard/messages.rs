//! Messages looked at: from every place, with every bound, and with a partition that can't be read.

use std::collections::BTreeSet;
use std::time::Duration;

use kurier::{Admin, ClientConfig, NewTopic};
use kurier_broker::{Api, EmbeddedCluster, Fault, FaultAction};
use serde_json::{Value, json};

use crate::asking::{Written, configured, dashboard, get, numbers, write, write_numbers};

#[tokio::test]
async fn messages_are_shown_by_time_from_every_place_and_the_reason_to_stop_is_told() {
    let cluster = EmbeddedCluster::builder().topic("orders", 3).start().await.unwrap();
    write_numbers(&cluster.bootstrap(), "orders", 3000).await;
    let dashboard = dashboard(&cluster).await;
    let look = async |query: &str| {
        let answer = get(&dashboard, &format!("/api/v1/messages/orders?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        answer.json()
    };
    let newest = look("").await;
    assert_eq!(numbers(&newest), (2950..3000).rev().collect::<Vec<_>>());
    assert_eq!((&newest["stopped"], &newest["of"]), (&json!("limit"), &json!(3000)));
    assert!(newest["scanned"].as_u64().unwrap() < 500, "the newest are not looked for: {newest}");
    let oldest = look("from=start&limit=10").await;
    assert_eq!(numbers(&oldest), (0..10).collect::<Vec<_>>());
    // Of each partition from that offset on.
    let offset = look("from=offset:990&limit=500").await;
    assert_eq!(numbers(&offset), (2970..3000).collect::<Vec<_>>());
    assert_eq!((&offset["stopped"], &offset["next"]), (&json!("end"), &json!([])));
    let time = look("from=time:2023-11-14T22:13:22.500Z&limit=5").await;
    assert_eq!(numbers(&time), [2500, 2501, 2502, 2503, 2504]);
    let later = look("from=time:2033-01-01T00:00:00Z").await;
    assert_eq!((numbers(&later), &later["stopped"]), (Vec::new(), &json!("end")));
    let one = look("partition=1&limit=3").await;
    assert_eq!(numbers(&one), [2998, 2995, 2992]);
    assert_eq!(one["of"], 1000);
    let row = &one["messages"][0];
    assert_eq!((&row["partition"], &row["offset"]), (&json!(1), &json!(999)));
    assert_eq!(row["timestamp"], "2023-11-14T22:13:22.998Z");
    assert_eq!(
        row["value"],
        json!({ "length": 4, "text": "2998", "json": true, "hex": "32393938", "cut": false })
    );
    // What is rare is looked for to the other end.
    let rare = look("value=1234").await;
    assert_eq!((numbers(&rare), &rare["stopped"]), (vec![1234], &json!("end")));
    assert_eq!(rare["scanned"], 3000);
    let key = look("key=key-3&limit=2").await;
    assert_eq!(numbers(&key), [2999, 2992]);
    dashboard.close().await;
}

#[tokio::test]
async fn page_after_page_shows_every_message_once_in_both_directions() {
    let cluster = EmbeddedCluster::builder().topic("orders", 3).start().await.unwrap();
    write_numbers(&cluster.bootstrap(), "orders", 300).await;
    let dashboard = dashboard(&cluster).await;
    for (from, filter, expected) in [
        ("end", "", (0..300).rev().collect::<Vec<i64>>()),
        ("start", "", (0..300).collect()),
        (
            "end",
            "&value=7",
            (0..300).rev().filter(|number: &i64| number.to_string().contains('7')).collect(),
        ),
    ] {
        let (mut found, mut at, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let query = format!("from={from}&limit=40{filter}&at={at}");
            let page = get(&dashboard, &format!("/api/v1/messages/orders?{query}")).await.json();
            found.extend(numbers(&page));
            pages += 1;
            let next: Vec<(i32, i64)> = serde_json::from_value(page["next"].clone()).unwrap();
            if next.is_empty() {
                assert_eq!(page["stopped"], "end");
                break;
            }
            assert_eq!(page["stopped"], "limit");
            let next: Vec<_> =
                next.iter().map(|(place, offset)| format!("{place}:{offset}")).collect();
            at = next.join(",");
            assert!(pages < 10, "{from}{filter} goes on and on");
        }
        assert_eq!(found, expected, "{from}{filter}");
    }
    dashboard.close().await;
}

#[tokio::test]
async fn an_empty_topic_is_answered_at_once() {
    let cluster = EmbeddedCluster::builder().topic("empty", 12).start().await.unwrap();
    let dashboard = dashboard(&cluster).await;
    // The first question connects.
    get(&dashboard, "/api/v1/messages/empty").await;
    for query in ["", "?from=start", "?from=offset:17", "?value=x", "?partition=3"] {
        let path = format!("/api/v1/messages/empty{query}");
        let mut answer = get(&dashboard, &path).await;
        // Other programs run on the machine, too.
        for _ in 0..2 {
            let again = get(&dashboard, &path).await;
            answer = if again.took < answer.took { again } else { answer };
        }
        assert!(answer.took < Duration::from_millis(500), "{query}: {:?}", answer.took);
        let json = answer.json();
        assert_eq!((&json["messages"], &json["stopped"]), (&json!([]), &json!("end")), "{query}");
        assert_eq!((&json["of"], &json["left_out"]), (&json!(0), &json!([])), "{query}");
    }
    dashboard.close().await;
}

#[tokio::test]
async fn what_a_message_says_is_text_wherever_it_says_it() {
    let cluster = EmbeddedCluster::builder().topic("orders", 1).start().await.unwrap();
    let script = "<script>alert(1)</script>";
    let hostile = |value: &[u8]| Written {
        key: Some(script.to_owned()),
        value: value.to_vec(),
        headers: vec![("<img src=x onerror=alert(1)>", format!("\"'{script}\u{2028}"))],
        ..Written::default()
    };
    let values: [&[u8]; 4] = [
        script.as_bytes(),
        b"{\"a\":\"</script><script>\"}",
        b"\xff\xfe<script>",
        b"a\r\n\r\nevent: x",
    ];
    let records = values.map(hostile).to_vec();
    write(&cluster.bootstrap(), "orders", records).await;
    let dashboard = dashboard(&cluster).await;
    let answer = get(&dashboard, "/api/v1/messages/orders?from=start").await;
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    let json = answer.json();
    let rows = json["messages"].as_array().unwrap();
    assert_eq!(rows.len(), values.len());
    for (row, value) in rows.iter().zip(values) {
        assert_eq!(row["key"]["text"], script);
        assert_eq!(row["headers"][0][0], "<img src=x onerror=alert(1)>");
        assert_eq!(row["headers"][0][1]["text"], format!("\"'{script}\u{2028}"));
        assert_eq!(
            row["value"]["text"],
            std::str::from_utf8(value).map_or(Value::Null, Value::from)
        );
        assert_eq!(row["value"]["length"], value.len());
    }
    let found =
        get(&dashboard, "/api/v1/messages/orders?header=%22%27%3Cscript&limit=2").await.json();
    assert_eq!(found["messages"].as_array().unwrap().len(), 2, "{found}");
    dashboard.close().await;
}

#[tokio::test]
async fn a_look_ends_when_it_takes_too_long_and_shows_what_it_found() {
    let cluster = EmbeddedCluster::builder().topic("orders", 3).start().await.unwrap();
    write_numbers(&cluster.bootstrap(), "orders", 60_000).await;
    let dashboard = dashboard(&cluster).await;
    let slow = FaultAction::Delay(Duration::from_millis(1200));
    let slow =
        cluster.faults().add(Fault::on(Api::Fetch).client("kurier-dashboard"), slow).unwrap();
    let answer = get(&dashboard, "/api/v1/messages/orders?value=5999").await;
    assert!(answer.took < Duration::from_secs(8), "{:?}", answer.took);
    let json = answer.json();
    assert_eq!(json["stopped"], "time", "{}", json["stopped"]);
    assert!(json["scanned"].as_u64() < json["of"].as_u64());
    assert_eq!(numbers(&json).first(), Some(&59_999), "what was found until then is shown");
    assert!(!json["next"].as_array().unwrap().is_empty());
    slow.clear();
    dashboard.close().await;
}

#[tokio::test]
async fn a_look_ends_when_it_would_be_too_much_and_the_next_goes_on() {
    let cluster = EmbeddedCluster::builder().topic("large", 1).start().await.unwrap();
    let large = |number: u8| Written { value: vec![number; 900_000], ..Written::default() };
    write(&cluster.bootstrap(), "large", (0..80).map(large).collect()).await;
    let dashboard = dashboard(&cluster).await;
    let path = "/api/v1/messages/large?from=start&key=none";
    let json = get(&dashboard, path).await.json();
    assert_eq!(json["stopped"], "bytes");
    let scanned = json["scanned"].as_i64().unwrap();
    assert!((36..50).contains(&scanned), "{scanned}");
    assert_eq!(json["next"], json!([[0, scanned]]));
    let all = get(&dashboard, "/api/v1/messages/large?limit=30").await;
    assert!(all.body.len() < 1 << 20, "what is shown of a message is cut: {}", all.body.len());
    let all = all.json();
    assert_eq!(all["messages"].as_array().unwrap().len(), 30);
    assert_eq!(all["messages"][0]["value"]["length"], 900_000);
    assert_eq!(all["messages"][0]["value"]["cut"], true);
    dashboard.close().await;
}

#[tokio::test]
async fn a_partition_without_a_leader_is_named_and_the_rest_is_shown() {
    let cluster = EmbeddedCluster::builder().start().await.unwrap();
    let admin = Admin::connect(&ClientConfig::new(cluster.bootstrap())).unwrap();
    admin.create_topic(&NewTopic::new("orders").partitions(3).replication(1)).await.unwrap();
    let topic = admin.wait_for_topic("orders", Duration::from_secs(30)).await.unwrap();
    write_numbers(&cluster.bootstrap(), "orders", 30).await;
    let dashboard = configured(&cluster.bootstrap()).start().await.unwrap();
    get(&dashboard, "/api/v1/messages/orders").await;
    let dead = topic.partitions[1].leader.unwrap();
    cluster.kill(dead.0).await.unwrap();
    let gone: BTreeSet<i32> = topic
        .partitions
        .iter()
        .filter(|it| it.leader == Some(dead))
        .map(|it| it.partition.0)
        .collect();
    for path in
        ["messages/orders?limit=500", "messages/orders?from=start&limit=500", "dead-letters/orders"]
    {
        let answer = get(&dashboard, &format!("/api/v1/{path}")).await;
        assert!(answer.took < Duration::from_secs(5), "{path}: {:?}", answer.took);
        let json = answer.json();
        let left_out = json["left_out"].as_array().unwrap();
        let named: BTreeSet<i32> =
            left_out.iter().map(|one| i32::try_from(one[0].as_i64().unwrap()).unwrap()).collect();
        assert_eq!(named, gone, "{path}: {json}");
        assert_eq!(json["scanned"], 30 - 10 * gone.len(), "{path}");
        assert_eq!(json["stopped"], "end");
    }
    dashboard.close().await;
}
