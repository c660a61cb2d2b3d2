//! Dead letters under the operator's hand: counted, shown, sent again.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cluster;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::Command;
use std::time::Duration;

use cluster::{Cluster, said};
use kurier_broker::{Api, EmbeddedCluster, Fault, FaultAction};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};

/// A record of a dead-letter topic, as a consumer of kurier's writes it.
#[derive(Clone, Copy)]
struct Letter<'a> {
    partition: i32,
    key: &'a str,
    value: &'a [u8],
    source: &'a str,
    error: &'a str,
    hops: &'a str,
    failed: &'a str,
}

const LETTER: Letter<'static> = Letter {
    partition: 0,
    key: "a",
    value: b"{\"order\":1}",
    source: "orders",
    error: "no such customer",
    hops: "1",
    failed: "2026-01-31T12:00:00.000Z",
};

fn write(cluster: &Cluster, letters: &[Letter<'_>]) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &cluster.bootstrap).create().unwrap();
    for letter in letters {
        let mut headers = OwnedHeaders::new().insert(Header { key: "mine", value: Some("x") });
        for (key, value) in [
            ("kurier.dlq.topic", letter.source),
            ("kurier.dlq.partition", "2"),
            ("kurier.dlq.offset", "4711"),
            ("kurier.dlq.cause", "rejected"),
            ("kurier.dlq.error", letter.error),
            ("kurier.dlq.attempts", "1"),
            ("kurier.dlq.first-failure", letter.failed),
            ("kurier.dlq.last-failure", letter.failed),
            ("kurier.dlq.group", "billing"),
            ("kurier.dlq.hops", letter.hops),
        ] {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let record = BaseRecord::to("orders.dlq").key(letter.key).payload(letter.value);
        producer
            .send(record.partition(letter.partition).headers(headers))
            .map_err(|it| it.0)
            .unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

fn foreign(cluster: &Cluster, value: &str) {
    let produced =
        cluster.kurier(&["produce", "orders.dlq", "--input", "raw", "--report", "none"], value);
    assert!(produced.status.success(), "{}", said(&produced));
}

fn objects(output: &std::process::Output) -> Vec<Value> {
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn replay(cluster: &Cluster, more: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let args = ["-o", "json", "dlq", "replay", "orders.dlq"];
    let output = cluster.kurier(&[&args[..], more].concat(), "");
    (output.status.code(), objects(&output), said(&output))
}

/// Offsets in a topic, in all.
fn records(cluster: &Cluster, topic: &str) -> Vec<Value> {
    cluster.objects(&[
        "topic",
        "tail",
        topic,
        "--from",
        "earliest",
        "--exit-at-end",
        "--decode",
        "raw",
    ])
}

#[test]
fn dead_letters_are_counted_by_error_source_and_age() {
    let cluster = Cluster::run(&["orders.dlq:2"]);
    let other = Letter { partition: 1, error: "timeout", source: "payments", ..LETTER };
    write(&cluster, &[LETTER, LETTER, other]);
    foreign(&cluster, "no dead letter\n");
    let counted = cluster.objects(&["-o", "json", "dlq", "list", "orders.dlq"]).remove(0);
    assert_eq!((&counted["records"], &counted["dead_letters"]), (&json!(4), &json!(3)));
    assert_eq!(counted["foreign"], 1);
    let errors = json!([
        {"error": "no such customer", "count": 2}, {"error": "timeout", "count": 1},
    ]);
    assert_eq!(counted["by_error"], errors);
    let sources = json!([{"source": "orders", "count": 2}, {"source": "payments", "count": 1}]);
    assert_eq!(counted["by_source"], sources);
    assert_eq!(counted["by_age"], json!([{"age": "7 d or more", "count": 3}]));
    let args = ["-o", "json", "dlq", "list", "orders.dlq", "--source", "payments"];
    assert_eq!(cluster.objects(&args)[0]["dead_letters"], 1);

    let text = cluster.kurier(&["dlq", "list", "orders.dlq", "--by", "error"], "").stdout;
    let text = String::from_utf8(text).unwrap();
    assert_eq!(
        text,
        "orders.dlq: 3 dead letters of 4 records read; 1 not kurier's\n\
         failed from 2026-01-31T12:00:00Z to 2026-01-31T12:00:00Z\n\
         \n\
         COUNT  ERROR\n\
         2      no such customer\n\
         1      timeout\n"
    );
    assert_eq!(cluster.objects(&["-o", "json", "group", "list"]), Vec::<Value>::new());
}

#[test]
fn one_is_shown_with_its_payload_in_each_form() {
    let cluster = Cluster::run(&["orders.dlq:2"]);
    write(&cluster, &[LETTER, Letter { value: b"\xc3\x28 no text", ..LETTER }]);
    let show = |more: &[&str]| cluster.kurier(&[&["dlq", "show", "orders.dlq"], more].concat(), "");
    let text = String::from_utf8(show(&["0:0"]).stdout).unwrap();
    for part in [
        "orders.dlq[0] offset 0\n",
        "from           orders[2] offset 4711\n",
        "error          no such customer\n",
        "header         mine = \"x\"\n",
        "payload        11 bytes, JSON\n{\n  \"order\": 1\n}\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert!(!text.contains("kurier.dlq."), "{text}");
    let hex = String::from_utf8(show(&["0:1"]).stdout).unwrap();
    assert!(
        hex.ends_with("00000000  c3 28 20 6e 6f 20 74 65 78 74                    |.( no text|\n"),
        "{hex}"
    );
    let forced = String::from_utf8(show(&["0:0", "--as", "text"]).stdout).unwrap();
    assert!(forced.ends_with("text\n{\"order\":1}\n"), "{forced}");
    let object = cluster.objects(&["-o", "json", "dlq", "show", "orders.dlq", "0:0"]).remove(0);
    assert_eq!(object["payload"], json!({"order": 1}));
    assert_eq!(object["dead_letter"]["hops"], 1);
    for (args, code, reason) in [
        (&["0:1", "--as", "json"][..], 1, "not JSON"),
        (&["0:2"], 1, "it has 0 to 1"),
        (&["1:0"], 1, "it is empty"),
        (&["7:0"], 1, "it has 2 partitions"),
        (&["17"], 2, "such as 2:17"),
    ] {
        let refused = show(args);
        assert_eq!(refused.status.code(), Some(code), "{args:?}: {}", said(&refused));
        assert!(said(&refused).contains(reason), "{args:?}: {}", said(&refused));
    }
}

#[test]
fn a_replay_sends_what_is_meant_once_and_the_same_command_goes_on() {
    let cluster = Cluster::run(&["orders.dlq:2", "orders:3"]);
    let other = Letter { partition: 1, error: "timeout", key: "b", ..LETTER };
    write(&cluster, &[LETTER, other, LETTER]);
    let dry = replay(&cluster, &["--error", "customer", "--dry-run"]);
    assert_eq!(dry.0, Some(0), "{}", dry.2);
    assert_eq!(dry.1.len(), 3, "two and a summary: {:?}", dry.1);
    assert_eq!((&dry.1[0]["to"], &dry.1[2]["would_send"]), (&json!("orders"), &json!(2)));
    assert_eq!(records(&cluster, "orders").len(), 0);
    assert_eq!(cluster.objects(&["-o", "json", "group", "list"]), Vec::<Value>::new());

    let (code, summary, talk) = replay(&cluster, &["--error", "customer"]);
    assert_eq!(code, Some(0), "{talk}");
    assert_eq!((&summary[0]["replayed"], &summary[0]["passed_over"]), (&json!(2), &json!(1)));
    let sent = records(&cluster, "orders");
    assert_eq!(sent.len(), 2);
    let headers = json!([{"key": "mine", "value": "x"}, {"key": "kurier.dlq.hops", "value": "1"}]);
    for record in &sent {
        assert_eq!(record["headers"], headers);
        assert_eq!((&record["key"], &record["value"]), (&json!("a"), &json!("{\"order\":1}")));
    }
    let (code, again, talk) = replay(&cluster, &["--error", "customer"]);
    assert_eq!((code, &again[0]["replayed"], &again[0]["before"]), (Some(0), &json!(0), &json!(3)));
    assert!(talk.contains("--restart begins anew"), "{talk}");
    // What has come since.
    write(&cluster, &[LETTER]);
    assert_eq!(replay(&cluster, &["--error", "customer"]).1[0]["replayed"], 1);
    let restarted = replay(&cluster, &["--error", "customer", "--restart"]);
    assert_eq!(restarted.1[0]["replayed"], 3, "{}", restarted.2);
    // Another selection has a group of its own.
    assert_eq!(replay(&cluster, &["--key", "b"]).1[0]["replayed"], 1);
    assert_eq!(records(&cluster, "orders").len(), 7);
}

#[test]
fn what_cannot_be_sent_again_is_left_and_named() {
    let cluster = Cluster::run(&["orders.dlq:1", "orders:1", "retry:1"]);
    let gone = Letter { source: "gone", ..LETTER };
    let worn = Letter { hops: "3", ..LETTER };
    let own = Letter { source: "orders.dlq", ..LETTER };
    write(&cluster, &[gone, worn, own, LETTER, gone]);
    foreign(&cluster, "no dead letter\n");
    let dry = replay(&cluster, &["--dry-run"]);
    let left = json!({"no-topic": 2, "hop-limit": 1, "own-topic": 1, "foreign": 1});
    let summary = dry.1.last().unwrap();
    assert_eq!((dry.0, &summary["left_by"], &summary["would_send"]), (Some(1), &left, &json!(1)));
    let (code, summary, talk) = replay(&cluster, &[]);
    assert_eq!(code, Some(1), "{talk}");
    assert_eq!((&summary[0]["replayed"], &summary[0]["left_by"]), (&json!(1), &left));
    let first = &summary[0]["left_first"][0];
    assert_eq!((&first["offset"], &first["why"]), (&json!(0), &json!("no-topic")));
    assert!(talk.contains("--partition 0 --offsets 0"), "the way back is named: {talk}");
    // With a target of one's own a topic that is gone is no matter, and the limit of hops is.
    let to = replay(&cluster, &["--to", "retry", "--max-hops", "9", "--source", "gone"]);
    assert_eq!((to.0, &to.1[0]["replayed"]), (Some(0), &json!(2)), "{}", to.2);
    let worn = ["--partition", "0", "--offsets", "1", "--max-hops", "4"];
    assert_eq!(replay(&cluster, &worn).1[0]["replayed"], 1);
    let circle = replay(&cluster, &["--to", "orders.dlq"]);
    assert_eq!(circle.0, Some(2), "{}", circle.2);
    let missing = cluster.kurier(&["dlq", "replay", "missing"], "");
    assert_eq!(missing.status.code(), Some(1), "{}", said(&missing));
}

/// With a rate, and cut short by a signal: what was sent is noted, and the same command sends the rest.
#[test]
fn a_replay_of_so_many_sends_so_many_wherever_they_lie() {
    let cluster = Cluster::run(&["orders.dlq:3", "orders:1"]);
    let in_each = [0, 1, 2].map(|partition| Letter { partition, ..LETTER });
    write(&cluster, &[in_each, in_each].concat());
    for (max, sent) in [("1", 1), ("2", 2), ("5", 3)] {
        let (code, told, said) = replay(&cluster, &["--max", max]);
        assert_eq!((code, &told[0]["replayed"]), (Some(0), &json!(sent)), "{max}: {said}");
    }
    assert_eq!(records(&cluster, "orders").len(), 6);
}

#[test]
fn a_target_that_is_not_there_is_told_before_anything_is_passed() {
    let cluster = Cluster::run(&["orders.dlq:1", "orders:1"]);
    write(&cluster, &[LETTER]);
    let (code, _, talk) = replay(&cluster, &["--to", "nosuch"]);
    assert_eq!(code, Some(2), "{talk}");
    assert!(talk.contains("the target topic \"nosuch\" does not exist"), "{talk}");
    let (code, told, talk) = replay(&cluster, &["--to", "orders"]);
    assert_eq!((code, &told[0]["replayed"]), (Some(0), &json!(1)), "{talk}");
    for command in
        [&["list", "orders.dql"][..], &["show", "orders.dql", "0:0"], &["replay", "orders.dql"]]
    {
        let output = cluster.kurier(&[&["dlq"][..], command].concat(), "");
        let told = said(&output);
        assert!(told.contains("no topic \"orders.dql\"") && told.contains("orders.dlq"), "{told}");
    }
}

#[test]
fn a_dead_letter_topic_is_made_once_there_is_a_topic_to_make_it_after() {
    let cluster = Cluster::run(&[]);
    let consume = ["consume", "single", "orders", "--dead-letter", "orders.dlq"];
    let command = [&consume[..], &["--create-dead-letter"]].concat();
    let mut process = cluster.command(&command).spawn().unwrap();
    let mut talk = BufReader::new(process.stderr.take().unwrap()).lines();
    assert!(talk.any(|line| line.unwrap().contains("waiting for topics")));
    assert!(cluster.objects(&["-o", "json", "topic", "list"]).is_empty());
    let created = cluster.kurier(&["topic", "create", "orders", "--partitions", "2"], "");
    assert!(created.status.success(), "{}", said(&created));
    assert!(talk.any(|line| line.unwrap().contains("creating the dead-letter topic")));
    assert!(talk.any(|line| line.unwrap().contains("assigned")));
    let term = Command::new("kill").arg(process.id().to_string()).status().unwrap();
    assert!(term.success());
    process.wait().unwrap();
    let made = cluster.objects(&["-o", "json", "topic", "describe", "orders.dlq"]).remove(0);
    assert_eq!(made["configs"]["min.insync.replicas"], "2", "{made}");
}

#[test]
fn a_signal_ends_a_replay_and_the_same_command_goes_on() {
    let cluster = Cluster::run(&["orders.dlq:1", "orders:1"]);
    let values: Vec<Vec<u8>> = (0..300).map(|number| format!("{number}").into_bytes()).collect();
    let letters: Vec<_> = values.iter().map(|value| Letter { value, ..LETTER }).collect();
    write(&cluster, &letters);
    let args = ["-o", "json", "dlq", "replay", "orders.dlq", "--rate", "100"];
    let process = cluster.command(&args).spawn().unwrap();
    while records(&cluster, "orders").is_empty() {}
    let term = Command::new("kill").arg(process.id().to_string()).status().unwrap();
    assert!(term.success());
    let stopped = process.wait_with_output().unwrap();
    assert_eq!(stopped.status.code(), Some(4), "{}", said(&stopped));
    let summary = &objects(&stopped)[0];
    let (sent, remaining) = (summary["replayed"].as_u64().unwrap(), &summary["remaining"]);
    assert!(0 < sent && sent < 300, "{summary}");
    assert_eq!(remaining, 300 - sent, "all that was sent is noted: {summary}");

    let limited = replay(&cluster, &["--max", "5"]);
    assert_eq!((limited.0, &limited.1[0]["replayed"]), (Some(0), &json!(5)), "{}", limited.2);
    let rest = replay(&cluster, &[]);
    assert_eq!((rest.0, &rest.1[0]["replayed"]), (Some(0), &json!(295 - sent)), "{}", rest.2);
    let found: BTreeMap<String, u64> =
        records(&cluster, "orders").iter().fold(BTreeMap::new(), |mut found, record| {
            *found.entry(record["value"].as_str().unwrap().to_owned()).or_default() += 1;
            found
        });
    assert_eq!(found.len(), 300);
    assert!(found.values().all(|count| *count == 1), "nothing was killed: none comes twice");
}

/// A broker that does not know a new topic yet is not believed at once: what is passed does not come again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_comes_while_a_replay_waits_for_it_gets_its_messages() {
    let embedded = EmbeddedCluster::builder().topic("orders.dlq", 1).start().await.unwrap();
    let cluster = Cluster::at(embedded.bootstrap());
    write(&cluster, &[Letter { source: "late", ..LETTER }; 3]);
    let about = Fault::on(Api::Metadata).topic("late");
    let questions = embedded.faults().add(about, FaultAction::Delay(Duration::ZERO)).unwrap();
    let replay = ["-o", "json", "dlq", "replay", "orders.dlq"];
    let process = cluster.command(&replay).spawn().unwrap();
    // A question may be asked of more than one node; so many are more than one question.
    let asked = tokio::time::timeout(Duration::from_secs(60), questions.reached(8)).await;
    assert_eq!(asked, Ok(true), "it asks again and again");
    assert!(cluster.kurier(&["topic", "create", "late"], "").status.success());
    let ended = process.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", said(&ended));
    assert_eq!(objects(&ended)[0]["replayed"], 3);
    assert_eq!(records(&cluster, "late").len(), 3);
}

#[test]
fn a_partition_that_is_not_there_is_said_and_no_group_is_left() {
    let cluster = Cluster::run(&["orders.dlq:2", "orders:1"]);
    write(&cluster, &[LETTER]);
    for command in [
        &["list", "orders.dlq", "--partition", "9"][..],
        &["show", "orders.dlq", "9:0"],
        &["replay", "orders.dlq", "--partition", "9", "--dry-run"],
        &["replay", "orders.dlq", "--partition", "9", "--restart"],
    ] {
        let output = cluster.kurier(&[&["dlq"][..], command].concat(), "");
        assert_eq!(output.status.code(), Some(1), "{command:?}: {}", said(&output));
        let told = "orders.dlq has no partition 9: it has 2 partitions, numbered from 0";
        assert!(said(&output).contains(told), "{command:?}: {}", said(&output));
    }
    assert_eq!(cluster.objects(&["-o", "json", "group", "list"]), Vec::<Value>::new());
}

#[test]
fn an_error_is_shown_as_it_was_said_on_one_line() {
    let cluster = Cluster::run(&["orders.dlq:1", "orders:1"]);
    write(&cluster, &[Letter { error: "it can't be \"read\"\nat all", ..LETTER }]);
    let told = "it can't be \"read\" at all\n";
    for command in [&["show", "orders.dlq", "0:0"][..], &["replay", "orders.dlq", "--dry-run"]] {
        let output = cluster.kurier(&[&["dlq"][..], command].concat(), "");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(told), "{command:?}: {text}");
    }
}
