use bytes::Bytes;
use jiff::Timestamp;

use super::headers::letter;
use super::{DeadLetter, DeadLetterCause, GivenUp};
use crate::{Headers, Offset, OutgoingRecord, PartitionId, Record};

fn given_up(error: &str) -> GivenUp {
    let at = |text: &str| text.parse::<Timestamp>().expect("a time");
    GivenUp {
        cause: DeadLetterCause::RetriesExhausted,
        error: error.to_owned(),
        attempts: 5,
        first_failure: at("2026-11-30T16:15:00.120Z"),
        last_failure: at("2026-11-30T16:15:03.456789Z"),
    }
}

/// A record with all that must come through unchanged.
fn poison() -> Record {
    let mut headers = Headers::new();
    headers.push("trace", Some(Bytes::from_static(b"\xff\x00\xfe")));
    headers.push("twice", Some("a".into()));
    headers.push("null", None);
    headers.push("empty", Some(Bytes::new()));
    headers.push("twice", Some("b".into()));
    Record::new("orders", PartitionId(2), Offset(17))
        .with_key(&b"\xc3\x28"[..])
        .with_value(&b"\x00{broken\xff"[..])
        .with_headers(headers)
        .with_timestamp(Timestamp::from_millisecond(1_700_000_000_123).expect("a time"))
}

/// What Kafka makes of it.
fn written(outgoing: OutgoingRecord, offset: i64) -> Record {
    let OutgoingRecord { key, value, headers, timestamp, partition } = outgoing;
    assert_eq!((timestamp, partition), (None, None), "its key and its time of sending count");
    let mut record =
        Record::new("orders.dlq", PartitionId(0), Offset(offset)).with_headers(headers);
    (record.key, record.value) = (key, value);
    record
}

fn ours(record: &Record) -> Vec<(String, String)> {
    let text = |value: &Option<Bytes>| {
        String::from_utf8(value.clone().expect("a value").to_vec()).expect("UTF-8")
    };
    let ours = record.headers.iter().filter(|header| header.name.starts_with("kurier."));
    ours.map(|header| (header.name.clone(), text(&header.value))).collect()
}

#[test]
fn a_letter_is_the_message_as_it_was_and_says_where_it_comes_from() {
    let poison = poison();
    let record = written(letter(&poison, &given_up("no such customer"), "billing"), 3);
    assert_eq!((&record.key, &record.value), (&poison.key, &poison.value));
    let before: Vec<_> = record.headers.iter().take(5).cloned().collect();
    assert_eq!(Headers::from(before), poison.headers);
    let ours = ours(&record);
    let ours: Vec<_> = ours.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        ours,
        [
            ("kurier.dlq.topic", "orders"),
            ("kurier.dlq.partition", "2"),
            ("kurier.dlq.offset", "17"),
            ("kurier.dlq.timestamp", "1700000000123"),
            ("kurier.dlq.cause", "retries-exhausted"),
            ("kurier.dlq.error", "no such customer"),
            ("kurier.dlq.attempts", "5"),
            ("kurier.dlq.first-failure", "2026-11-30T16:15:00.120Z"),
            ("kurier.dlq.last-failure", "2026-11-30T16:15:03.456Z"),
            ("kurier.dlq.group", "billing"),
            ("kurier.dlq.hops", "1"),
        ]
    );
}

#[test]
fn a_letter_reads_as_it_was_written_and_gives_the_original_back() {
    let poison = poison();
    let said = given_up("no such customer");
    let letter = DeadLetter::read(written(letter(&poison, &said, "billing"), 3)).expect("a letter");
    assert_eq!(letter.source, poison.position());
    assert_eq!(letter.source_timestamp, poison.timestamp);
    assert_eq!((letter.cause, letter.error.as_str()), (said.cause, said.error.as_str()));
    assert_eq!((letter.attempts, letter.hops, letter.group.as_str()), (5, 1, "billing"));
    assert_eq!(letter.first_failure, said.first_failure);
    assert_eq!(letter.last_failure.as_millisecond(), said.last_failure.as_millisecond());

    let original = letter.original();
    assert_eq!((&original.key, &original.value), (&poison.key, &poison.value));
    let mut headers = poison.headers;
    headers.push("kurier.dlq.hops", Some("1".into()));
    assert_eq!(original.headers, headers);
}

#[test]
fn three_rounds_replace_the_headers_and_count_the_hops() {
    let mut record = poison();
    for round in 1..=3 {
        let copy = written(letter(&record, &given_up("again"), "billing"), round);
        assert_eq!(ours(&copy).len(), 11, "round {round}");
        let letter = DeadLetter::read(copy).expect("a letter");
        assert_eq!(i64::from(letter.hops), round);
        let back = letter.original();
        assert_eq!(back.headers.len(), 6, "round {round}: the five it had, and the hops");
        record = Record::new("orders", PartitionId(1), Offset(100 + round))
            .with_headers(back.headers)
            .with_timestamp(Timestamp::UNIX_EPOCH);
    }
}

#[test]
fn a_letter_that_is_not_replayed_but_copied_whole_is_replaced_too() {
    let copied = written(letter(&poison(), &given_up("first"), "billing"), 3);
    let again = written(letter(&copied, &given_up("second"), "billing"), 4);
    assert_eq!(ours(&again).len(), 10, "this copy has no timestamp");
    let letter = DeadLetter::read(again).expect("a letter");
    assert_eq!((letter.hops, letter.error.as_str()), (2, "second"));
    assert_eq!(
        (letter.source.topic_partition.topic.as_ref(), letter.source_timestamp),
        ("orders.dlq", None)
    );
}

#[test]
fn a_tombstone_stays_one() {
    let tombstone = Record::new("orders", PartitionId(0), Offset(1)).with_key("k");
    let record = written(letter(&tombstone, &given_up("x"), "g"), 0);
    assert_eq!(record.value, None);
    assert_eq!(DeadLetter::read(record).expect("a letter").original().value, None);
}

#[test]
fn what_is_said_is_bounded_and_cut_between_characters() {
    let long = "й".repeat(10_000);
    let group = format!("x{}", "й".repeat(1000));
    let letter = DeadLetter::read(written(letter(&poison(), &given_up(&long), &group), 0));
    let letter = letter.expect("a letter");
    assert_eq!(letter.error.len(), 1024);
    assert_eq!(letter.group.len(), 249);
    assert!(long.starts_with(&letter.error) && group.starts_with(&letter.group));
    let odd = format!("x{long}");
    let record = written(super::headers::letter(&poison(), &given_up(&odd), "g"), 0);
    assert_eq!(DeadLetter::read(record).expect("a letter").error.len(), 1023);
}

#[test]
fn hops_that_are_no_number_count_as_none_and_the_count_has_an_end() {
    let hops = |value: &[u8]| {
        let mut headers = Headers::new();
        headers.push("kurier.dlq.hops", Some(Bytes::copy_from_slice(value)));
        let record = Record::new("t", PartitionId(0), Offset(0)).with_headers(headers);
        DeadLetter::read(written(letter(&record, &given_up("x"), "g"), 0)).expect("a letter").hops
    };
    assert_eq!(hops(b"\xff"), 1);
    assert_eq!(hops(b"-3"), 1);
    assert_eq!(hops(b"41"), 42);
    assert_eq!(hops(u32::MAX.to_string().as_bytes()), u32::MAX);
}

#[test]
fn a_record_of_somebody_else_is_told_apart() {
    let error = DeadLetter::read(poison()).expect_err("it has none of the headers");
    assert_eq!(
        error.to_string(),
        "orders[2] offset 17: no dead letter of kurier's: header kurier.dlq.topic: it is missing"
    );
    let mut record = written(letter(&poison(), &given_up("x"), "g"), 3);
    record.headers.push("kurier.dlq.cause", Some("bored".into()));
    let error = DeadLetter::read(record).expect_err("no such cause").to_string();
    assert!(error.contains("kurier.dlq.cause: not rejected"), "{error}");
    assert!(error.contains("found \"bored\""), "{error}");
}
