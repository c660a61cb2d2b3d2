use kurier::{Headers, Offset};

use super::*;

fn asked(from: &str) -> MessagesAsked {
    MessagesAsked { from: from.to_owned(), ..MessagesAsked::default() }
}

fn read(asked: &MessagesAsked) -> Result<Wanted, String> {
    Wanted::read(asked).map_err(|refused| refused.reason().to_owned())
}

#[test]
fn a_place_is_read_or_refused_with_what_is_possible() {
    let time = "2026-01-31T12:00:00Z";
    for (text, from) in [
        ("start", From::Start),
        ("end", From::End),
        ("offset:0", From::Offset(0)),
        ("offset:17", From::Offset(17)),
        (&format!("time:{time}"), From::Time(time.parse().expect("a time"))),
    ] {
        assert_eq!(read(&asked(text)).map(|wanted| wanted.from), Ok(from), "{text}");
    }
    for (text, reason) in [
        ("", "are possible"),
        ("begin", "are possible"),
        ("end:1", "are possible"),
        ("offset:-1", "from 0 on"),
        ("offset:", "from 0 on"),
        ("offset:1e3", "from 0 on"),
        ("time:yesterday", "RFC 3339"),
    ] {
        let error = read(&asked(text)).expect_err("refused");
        assert!(error.starts_with("from: ") && error.contains(reason), "{text}: {error}");
    }
    for (wrong, reason) in [
        (MessagesAsked { limit: 0, ..asked("end") }, "limit"),
        (MessagesAsked { limit: LIMIT_MAX + 1, ..asked("end") }, "limit"),
        (MessagesAsked { partition: Some(-1), ..asked("end") }, "partition"),
        (MessagesAsked { at: "0".to_owned(), ..asked("end") }, "at"),
        (MessagesAsked { at: "0:1,".to_owned(), ..asked("end") }, "at"),
        (MessagesAsked { at: "0:-1".to_owned(), ..asked("end") }, "at"),
    ] {
        let error = read(&wrong).expect_err("refused");
        assert!(error.starts_with(reason), "{wrong:?}: {error}");
    }
}

#[test]
fn what_is_looked_at_lies_within_each_log() {
    let known: BTreeMap<_, _> = [(0, 10..100, 40), (1, 0..5, 5), (2, 7..7, 7)]
        .map(|(number, log, at)| (PartitionId(number), Span { log, at }))
        .into();
    let ranges = |from: &str, at: &str| {
        let asked = MessagesAsked { at: at.to_owned(), ..asked(from) };
        let found = read(&asked).expect("read").ranges(&known);
        found.into_iter().map(|(number, range)| (number.0, range)).collect::<Vec<_>>()
    };
    assert_eq!(ranges("start", ""), [(0, 10..100), (1, 0..5), (2, 7..7)]);
    assert_eq!(ranges("end", ""), [(0, 10..100), (1, 0..5), (2, 7..7)]);
    assert_eq!(ranges("offset:50", ""), [(0, 50..100), (1, 5..5), (2, 7..7)]);
    assert_eq!(ranges("offset:0", ""), [(0, 10..100), (1, 0..5), (2, 7..7)]);
    assert_eq!(ranges("time:2026-01-31T12:00:00Z", ""), [(0, 40..100), (1, 5..5), (2, 7..7)]);
    assert_eq!(ranges("start", "0:30,1:9"), [(0, 30..100), (1, 5..5)], "the others are done");
    assert_eq!(ranges("end", "0:30,2:9,8:1"), [(0, 10..30), (2, 7..7)]);
    assert_eq!(ranges("offset:50", "0:60"), [(0, 60..100)]);
}

fn record(partition: i32, offset: i64, second: i64) -> Record {
    let time = Timestamp::from_second(second).expect("a time");
    Record::new("orders", PartitionId(partition), Offset(offset)).with_timestamp(time)
}

#[test]
fn all_that_is_set_must_be_in_a_message() {
    let mut headers = Headers::new();
    headers.push("trace", Some("abc".into()));
    headers.push("flag", None);
    let whole =
        || record(0, 0, 0).with_key("key-1").with_value("<b>é</b>").with_headers(headers.clone());
    for (key, value, header, takes) in [
        ("", "", "", true),
        ("ey-1", "é<", "race", true),
        ("", "", "bc", true),
        ("", "", "flag", true),
        ("key-2", "", "", false),
        ("", "É", "", false),
        ("", "", "tracer", false),
        ("key-1", "b>", "none", false),
        ("key-11", "", "", false),
    ] {
        let filter = Filter::new(key, value, header);
        assert_eq!(filter.takes(&whole()), takes, "{key:?} {value:?} {header:?}");
    }
    let bare = record(0, 0, 0);
    assert!(Filter::new("", "", "").takes(&bare));
    assert!(!Filter::new("a", "", "").takes(&bare) && !Filter::new("", "a", "").takes(&bare));
    let near = record(0, 0, 0).with_value("aaab");
    assert!(Filter::new("", "aab", "").takes(&near) && !Filter::new("", "aaaa", "").takes(&near));
}

fn merge(direction: Direction, of: &[(i32, i64, i64)]) -> Merge {
    let mut found = BTreeMap::<PartitionId, Vec<Found>>::new();
    for (partition, offset, second) in of {
        let record = record(*partition, *offset, *second);
        found.entry(PartitionId(*partition)).or_default().push(Found::of(record));
    }
    let mut merge = Merge { direction, waiting: BTreeMap::new() };
    merge.add(found);
    merge
}

fn page(limit: usize) -> Page {
    Page { limit, rows: Vec::new(), weight: 0 }
}

fn places(page: &Page) -> Vec<(i32, i64)> {
    page.rows.iter().map(|row| (row.partition, row.offset)).collect()
}

#[test]
fn partitions_are_merged_by_time_and_each_keeps_its_order() {
    // The times of partition 1 go back once.
    let of = [(0, 5, 10), (0, 6, 30), (1, 7, 20), (1, 8, 5), (1, 9, 40)];
    for (direction, expected) in [
        (Direction::Forward, [(0, 5), (1, 7), (1, 8), (0, 6), (1, 9)]),
        (Direction::Backward, [(1, 9), (0, 6), (0, 5), (1, 8), (1, 7)]),
    ] {
        let mut merge = merge(direction, &of);
        let mut page = page(50);
        assert_eq!(page.fill(&mut merge, |_| true), None);
        assert_eq!(places(&page), expected, "{direction:?}");
    }
}

#[test]
fn the_next_look_goes_on_behind_what_was_shown() {
    let of = [(0, 5, 10), (0, 6, 30), (1, 7, 20)];
    let open: BTreeMap<_, _> = [(PartitionId(1), 0..4), (PartitionId(2), 1..9)].into();
    for (direction, next) in [
        (Direction::Forward, [(0, 6), (1, 7), (2, 1)]),
        (Direction::Backward, [(0, 6), (1, 8), (2, 9)]),
    ] {
        let mut merge = merge(direction, &of);
        let mut page = page(1);
        assert_eq!(page.fill(&mut merge, |_| true), Some(Stopped::Limit));
        assert_eq!(merge.next(&open), next, "{direction:?}: of what waits, else of what is open");
    }
}

#[test]
fn nothing_is_shown_before_it_is_known_to_come_next_and_an_answer_has_its_size() {
    let of = [(0, 5, 10), (0, 6, 30), (1, 7, 20)];
    let mut waiting = merge(Direction::Forward, &of);
    let mut partly = page(50);
    let both = |merge: &Merge| merge.has(PartitionId(0)) && merge.has(PartitionId(1));
    assert_eq!(partly.fill(&mut waiting, both), None);
    assert_eq!(places(&partly), [(0, 5), (1, 7)], "another of partition 1 may come before 0:6");

    let mut full = Page { limit: 50, rows: Vec::new(), weight: ANSWER_BYTES };
    assert_eq!(full.fill(&mut merge(Direction::Forward, &of), |_| true), Some(Stopped::Bytes));
    assert_eq!(places(&full), [(0, 5)], "one is shown whatever its size");
}

#[test]
fn a_large_message_waits_as_it_is_shown_and_a_small_one_as_it_is() {
    for (size, is_cut) in
        [(0, false), (1000, false), (16 << 10, false), (64 << 10, true), (1 << 20, true)]
    {
        let record = || record(3, 7, 11).with_key("k").with_value(vec![b'a'; size]);
        let found = Found::of(record());
        assert_eq!(matches!(found, Found::Shown { .. }), is_cut, "{size}");
        assert_eq!(found.place(), (PartitionId(3), 7));
        assert_eq!(found.timestamp(), record().timestamp());
        assert_eq!(found.weight(), forms::weight(&record()));
        assert_eq!(found.row(), forms::message(&record()), "{size}");
    }
}
