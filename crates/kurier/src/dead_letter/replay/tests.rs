use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use rdkafka::error::RDKafkaErrorCode as Code;
use tokio_util::sync::CancellationToken;

use super::{Offset, Replay, ReplayProgress, Rules, Selection, Sender, Standing, Verdict, WhyLeft};
use crate::{
    DeadLetter, DeadLetterCause, DeliveryError, Headers, MessageProducer, PartitionId, Record,
    SendError, TopicPartition, Watermarks,
};

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// A dead letter from orders[1] that failed at noon, with these of its headers otherwise.
fn record(otherwise: &[(&str, &str)]) -> Record {
    let mut headers = Headers::new();
    headers.push("trace", Some(Bytes::from_static(b"\xff")));
    let usual = [
        ("topic", "orders"),
        ("partition", "1"),
        ("offset", "4711"),
        ("cause", "retries-exhausted"),
        ("error", "store order 7: connection refused"),
        ("attempts", "5"),
        ("first-failure", "2026-01-31T11:59:00.000Z"),
        ("last-failure", "2026-01-31T12:00:00.000Z"),
        ("group", "billing"),
        ("hops", "1"),
    ];
    for (name, value) in usual {
        let found = otherwise.iter().find(|(other, _)| *other == name);
        let value = found.map_or(value, |(_, value)| value);
        headers.push(format!("kurier.dlq.{name}"), Some(value.to_owned().into()));
    }
    Record::new("orders.dlq", PartitionId(2), Offset(17))
        .with_key("a")
        .with_value("{broken")
        .with_headers(headers)
}

fn letter() -> DeadLetter {
    DeadLetter::read(record(&[])).expect("a dead letter")
}

fn rules() -> Rules {
    Rules { topic: "orders.dlq".to_owned(), selection: Selection::default(), to: None, hops_max: 3 }
}

/// A selection with one thing set.
fn only(set: impl FnOnce(&mut Selection)) -> Selection {
    let mut selection = Selection::default();
    set(&mut selection);
    selection
}

/// Each of them with whether it selects [`letter`].
fn selections() -> Vec<(bool, Selection)> {
    let noon = at("2026-01-31T12:00:00Z");
    let later = at("2026-01-31T12:00:00.001Z");
    let offsets = |range: std::ops::Range<i64>| Some(Offset(range.start)..Offset(range.end));
    let some = |text: &str| Some(text.to_owned());
    vec![
        (true, Selection::default()),
        (true, only(|it| it.error = some("connection refused"))),
        (false, only(|it| it.error = some("Connection refused"))),
        (true, only(|it| it.cause = Some(DeadLetterCause::RetriesExhausted))),
        (false, only(|it| it.cause = Some(DeadLetterCause::Rejected))),
        (true, only(|it| it.source = some("orders"))),
        (false, only(|it| it.source = some("order"))),
        (true, only(|it| it.key = Some("a".into()))),
        (false, only(|it| it.key = Some("".into()))),
        (true, only(|it| it.from = Some(noon))),
        (false, only(|it| it.from = Some(later))),
        (true, only(|it| it.until = Some(later))),
        (false, only(|it| it.until = Some(noon))),
        (true, only(|it| it.partition = Some(PartitionId(2)))),
        (false, only(|it| it.partition = Some(PartitionId(1)))),
        (true, only(|it| it.offsets = offsets(17..18))),
        (false, only(|it| it.offsets = offsets(16..17))),
        (false, only(|it| it.offsets = offsets(18..20))),
        (
            false,
            only(|it| {
                it.source = some("orders");
                it.cause = Some(DeadLetterCause::Panicked);
            }),
        ),
    ]
}

#[test]
fn all_that_is_set_must_hold() {
    for (selected, selection) in selections() {
        assert_eq!(selection.selects(&letter()), selected, "{selection:?}");
    }
}

#[test]
fn a_record_without_a_key_is_not_one_with_an_empty_key() {
    let empty = only(|it| it.key = Some("".into()));
    let mut keyless = letter();
    keyless.record.key = None;
    assert!(!empty.selects(&keyless));
    keyless.record.key = Some("".into());
    assert!(empty.selects(&keyless));
}

#[test]
fn what_is_no_dead_letter_is_meant_unless_something_is_asked_that_only_they_say() {
    let foreign = Record::new("orders.dlq", PartitionId(2), Offset(17)).with_key("a");
    for (_, selection) in selections() {
        let Selection { error, cause, source, from, until, .. } = &selection;
        let says = error.is_some() || source.is_some() || cause.is_some();
        let says = says || from.is_some() || until.is_some();
        if says {
            assert!(!selection.selects_foreign(&foreign), "{selection:?}");
        } else {
            let as_letter = selection.selects(&letter());
            assert_eq!(selection.selects_foreign(&foreign), as_letter, "{selection:?}");
        }
    }
}

/// A name that changed between two versions would let an interrupted replay begin anew: these stay.
#[test]
fn the_group_of_a_replay_never_changes() {
    let all = Replay::of("b:1", "orders.dlq");
    assert_eq!(all.group_name(), "kurier-replay.orders.dlq.e604823a249029bf");
    let some = only(|it| {
        it.error = Some("refused".to_owned());
        it.cause = Some(DeadLetterCause::Rejected);
        it.source = Some("orders".to_owned());
        it.key = Some("a".into());
        it.from = Some(at("2026-01-31T12:00:00Z"));
        it.until = Some(at("2026-02-01T12:00:00Z"));
        it.partition = Some(PartitionId(2));
        it.offsets = Some(Offset(17)..Offset(20));
    });
    let some = Replay::of("b:1", "orders.dlq").selection(some).to("retry");
    assert_eq!(some.group_name(), "kurier-replay.orders.dlq.b7810cf894c695f0");
    let known = [some.group_name(), "kurier-replays".to_owned(), "orders".to_owned()];
    assert_eq!(known.each_ref().map(|name| Replay::is_group_name(name)), [true, false, false]);
}

#[test]
fn each_selection_and_target_has_a_group_of_its_own_and_limits_change_nothing() {
    let mut names = BTreeMap::new();
    for (_, selection) in selections() {
        for to in [None, Some("retry"), Some("")] {
            let name = selection.digest(to);
            let before = names.insert(name, (selection.clone(), to));
            assert_eq!(before, None, "{selection:?} {to:?}");
        }
    }
    let replay = || Replay::of("b:1", "orders.dlq");
    let limited = replay().max(3).hops_max(9).rate(std::num::NonZeroU64::MIN).restart(true);
    assert_eq!(limited.group_name(), replay().group_name());
    assert_eq!(replay().group("mine").group_name(), "mine");
}

#[test]
fn a_message_goes_back_to_where_it_comes_from_or_to_the_one_target() {
    let Verdict::Send(planned) = rules().judge(&record(&[])) else { panic!("it is to be sent") };
    assert_eq!(planned.target, "orders");
    let out = planned.outgoing();
    let (key, value) = (out.key.as_deref(), out.value.as_deref());
    assert_eq!((key, value), (Some(&b"a"[..]), Some(&b"{broken"[..])));
    let headers: Vec<_> = out.headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(headers, ["trace", "kurier.dlq.hops"], "of ours only the hops");
    assert_eq!((out.timestamp, out.partition), (None, None));

    let to = Rules { to: Some("retry".to_owned()), ..rules() };
    let Verdict::Send(planned) = to.judge(&record(&[])) else { panic!("it is to be sent") };
    assert_eq!(planned.target, "retry");
}

#[test]
fn the_limit_of_hops_is_where_a_loop_ends() {
    for (hops, sent) in [("1", true), ("2", true), ("3", false), ("4", false)] {
        let verdict = rules().judge(&record(&[("hops", hops)]));
        assert_eq!(matches!(verdict, Verdict::Send(_)), sent, "{hops}");
        if !sent {
            let hops = hops.parse().expect("a number");
            assert_eq!(verdict, Verdict::Left(WhyLeft::HopLimit { hops }));
        }
    }
}

#[test]
fn what_cannot_be_sent_back_is_left_and_what_is_not_meant_is_passed() {
    let own = rules().judge(&record(&[("topic", "orders.dlq")]));
    assert_eq!(own, Verdict::Left(WhyLeft::OwnTopic));
    let foreign = rules().judge(&Record::new("orders.dlq", PartitionId(0), Offset(0)));
    let reason = "header kurier.dlq.topic: it is missing".to_owned();
    assert_eq!(foreign, Verdict::Left(WhyLeft::Foreign { reason }));
    let other = Rules { selection: only(|it| it.source = Some("x".to_owned())), ..rules() };
    // The limit of hops is no matter of what is not meant.
    assert_eq!(other.judge(&record(&[("hops", "9")])), Verdict::NotSelected);
}

fn marks(earliest: i64, end: i64) -> Watermarks {
    Watermarks { earliest: Offset(earliest), end: Offset(end) }
}

#[test]
fn what_is_passed_and_what_remains() {
    let partition = |number| TopicPartition::new("orders.dlq", PartitionId(number));
    let ends = BTreeMap::from([
        (PartitionId(0), marks(10, 100)),
        (PartitionId(1), marks(0, 50)),
        // Its oldest records have gone since they were passed.
        (PartitionId(2), marks(30, 40)),
    ]);
    let committed = BTreeMap::from([(partition(0), Offset(40)), (partition(2), Offset(5))]);
    let mut standing = Standing::new("orders.dlq", &ends, &committed);
    assert_eq!(standing.passed(), 30);
    assert_eq!(standing.remaining(&BTreeMap::new()), 60 + 50 + 10);
    let committed = BTreeMap::from([(partition(0), Offset(100)), (partition(1), Offset(20))]);
    assert_eq!(standing.remaining(&committed), 30 + 10);
    let spans = standing.spans();
    assert_eq!(spans[&partition(0)], (Offset(40), Some(Offset(100))));
    standing.forget();
    assert_eq!((standing.passed(), standing.spans()[&partition(0)].0), (0, Offset(10)));
}

#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It is tried again in its place.
    Again,
    /// The run ends, and it stays uncommitted.
    Ends,
    /// It is named, and passed.
    Left(&'static str),
}

/// Only what speaks of the message itself lets the group pass it.
#[tokio::test]
async fn what_becomes_of_a_message_that_was_not_delivered_by_its_code() {
    let table = [
        (Code::UnknownTopic, Fate::Left("no-topic")),
        (Code::UnknownTopicOrPartition, Fate::Left("no-topic")),
        (Code::MessageSizeTooLarge, Fate::Left("refused")),
        (Code::InvalidMessage, Fate::Left("refused")),
        (Code::InvalidMessageSize, Fate::Left("refused")),
        (Code::InvalidTopic, Fate::Left("refused")),
        (Code::InvalidRecord, Fate::Left("refused")),
        (Code::TopicAuthorizationFailed, Fate::Ends),
        (Code::ClusterAuthorizationFailed, Fate::Ends),
        (Code::GroupAuthorizationFailed, Fate::Ends),
        (Code::Authentication, Fate::Ends),
        (Code::SSL, Fate::Ends),
        (Code::PurgeQueue, Fate::Again),
        (Code::MessageTimedOut, Fate::Again),
        (Code::NotEnoughReplicas, Fate::Again),
        (Code::Unknown, Fate::Again),
    ];
    for (code, fate) in table {
        let producer = MessageProducer::builder("127.0.0.1:1").build().await.expect("a producer");
        let (stop, limits) = (CancellationToken::new(), (None, None));
        let sender =
            Sender::new(producer, rules(), ReplayProgress::default(), limits, stop.clone());
        let Verdict::Send(planned) = rules().judge(&record(&[])) else { panic!("it is sent") };
        let found = sender.undelivered(*planned, DeliveryError::with_code("orders", code)).await;
        let broken = sender.broken();
        let found = match &found {
            Ok(why) => Fate::Left(why.kind()),
            Err(_) if broken.is_some() => Fate::Ends,
            Err(_) => Fate::Again,
        };
        assert_eq!(found, fate, "{code:?}");
        assert_eq!(stop.is_cancelled(), fate == Fate::Ends, "{code:?}");
        assert_eq!(broken.is_some_and(|it| it.is_refused()), fate == Fate::Ends, "{code:?}");
    }
}

/// The limit of the client is no verdict of a broker's.
#[test]
fn what_the_client_itself_does_not_take_ends_the_run_and_is_not_passed() {
    let topic = || "orders".to_owned();
    let table = [
        (SendError::TooLarge { topic: topic(), found: 2, max: 1 }, true),
        (SendError::Client { topic: topic(), code: Code::SSL }, true),
        (SendError::Client { topic: topic(), code: Code::QueueFull }, false),
        (SendError::NotAccepting(crate::NotAccepting::Closed), true),
        (SendError::Full, false),
    ];
    for (error, ends) in table {
        assert_eq!(super::sender::is_final(&error), ends, "{error}");
    }
}
