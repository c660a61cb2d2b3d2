//! Dead letters of a topic: counted by what they have in common, and the newest of them shown.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use kurier::{DeadLetter, DeadLetterCause, Record};
use tokio::time::Instant;

use super::browse::{ANSWER_BYTES, BYTES, TIME};
use super::errors::Kind;
use super::forms;
use super::look::Look;
use super::refused::Refused;
use super::spans::spans;
use super::walk::{Bounds, Direction, Walk};
use crate::view::{DeadLetters, ErrorCount, LetterRow, LettersAsked, Stopped};

/// The most letters of an answer.
pub(super) const LIMIT_MAX: usize = 200;
/// Kinds of errors that are told apart; what comes after counts as [`OTHERS`] of its cause.
const KINDS_MAX: usize = 200;
/// What the rest is called.
const OTHERS: &str = "(others)";

/// Looks at the letters in `topic`, the newest first, as many as the bounds allow.
///
/// # Errors
/// When what is asked for makes no sense, there is no such topic, or the cluster does not answer.
pub(super) async fn letters(
    look: Look,
    topic: &str,
    asked: LettersAsked,
) -> Result<DeadLetters, Refused> {
    let begun = Instant::now();
    let mut census = Census::new(asked)?;
    let spans = spans(&look.admin, topic, None, None).await?;
    let open = spans.known.into_iter().map(|(partition, span)| (partition, span.log)).collect();
    let bounds = Bounds { deadline: begun + TIME, bytes: BYTES };
    let (reading, direction) = ((look.reading, look.permit), Direction::Backward);
    let mut walk = Walk::new(reading, topic, direction, open, usize::MAX, bounds);
    let stopped = loop {
        match walk.step(|_| true, |record| census.count(record)).await {
            Ok(true) => {}
            Ok(false) => break Stopped::End,
            Err(stopped) => break stopped,
        }
    };
    let Walk { scanned, of, left_out, .. } = walk;
    let left_out = [spans.left_out, left_out].concat();
    let (foreign, (by_error, letters)) = (census.foreign, census.rows());
    let seconds = begun.elapsed().as_secs_f64();
    Ok(DeadLetters { by_error, letters, foreign, scanned, of, seconds, stopped, left_out })
}

/// The counts. Their size is bounded, however many letters are counted. *Pure.*
struct Census {
    cause: Option<DeadLetterCause>,
    error: String,
    limit: usize,
    kinds: HashMap<(DeadLetterCause, Kind), Count>,
    /// The newest, by when they failed last and where they are, and what each takes.
    newest: BTreeMap<Place, (LetterRow, usize)>,
    /// Bytes of all of them.
    weight: usize,
    /// The newest for which there was no room: no older one is shown.
    floor: Option<Place>,
    foreign: u64,
}

/// When a letter failed last, and its partition and offset.
type Place = (Timestamp, i32, i64);

#[derive(Debug, Clone, Copy)]
struct Count {
    letters: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Census {
    fn new(asked: LettersAsked) -> Result<Self, Refused> {
        let LettersAsked { cause, error, limit } = asked;
        let wrong = |reason: String| Err(Refused::asked_wrong(reason));
        if !(1..=LIMIT_MAX).contains(&limit) {
            return wrong(format!("limit: 1 to {LIMIT_MAX} are possible"));
        }
        let cause = match cause.as_str() {
            "" => None,
            cause => match cause.parse() {
                Ok(cause) => Some(cause),
                Err(error) => return wrong(format!("cause: {error}")),
            },
        };
        let (kinds, newest) = (HashMap::new(), BTreeMap::new());
        let (weight, floor, foreign) = (0, None, 0);
        Ok(Self { cause, error, limit, kinds, newest, weight, floor, foreign })
    }

    fn count(&mut self, record: Record) {
        let Ok(letter) = DeadLetter::read(record) else {
            self.foreign += 1;
            return;
        };
        let failed = letter.last_failure;
        let mut kind = (letter.cause, Kind::of(&letter.error));
        if KINDS_MAX <= self.kinds.len() && !self.kinds.contains_key(&kind) {
            kind.1 = Kind { words: OTHERS.to_owned(), contains: String::new() };
        }
        let none = Count { letters: 0, first: failed, last: failed };
        let count = self.kinds.entry(kind).or_insert(none);
        count.letters += 1;
        count.first = count.first.min(failed);
        count.last = count.last.max(failed);
        let is_shown = self.cause.is_none_or(|cause| cause == letter.cause)
            && letter.error.contains(&self.error);
        if is_shown {
            self.show(&letter);
        }
    }

    fn show(&mut self, letter: &DeadLetter) {
        let (partition, offset) = (letter.record.partition().0, letter.record.offset().0);
        let place = (letter.last_failure, partition, offset);
        if self.floor.is_some_and(|floor| place <= floor) {
            return;
        }
        let row = row(letter);
        let names = [&row.error, &row.source.0, &row.group].map(|it| forms::in_json(it.as_bytes()));
        let weight = forms::weight(&letter.record) + names.iter().sum::<usize>();
        self.weight += weight;
        if let Some((_, known)) = self.newest.insert(place, (row, weight)) {
            self.weight -= known;
        }
        let too_many = |it: &Self| {
            it.limit < it.newest.len() || ANSWER_BYTES < it.weight && 1 < it.newest.len()
        };
        while too_many(self)
            && let Some((place, (_, weight))) = self.newest.pop_first()
        {
            self.weight -= weight;
            self.floor = self.floor.max(Some(place));
        }
    }

    /// What there is of each kind, most first, and the newest letters.
    fn rows(self) -> (Vec<ErrorCount>, Vec<LetterRow>) {
        let kinds = self.kinds.into_iter().map(|((cause, kind), count)| ErrorCount {
            cause: cause.to_string(),
            error: kind.words,
            contains: kind.contains,
            count: count.letters,
            first: Some(count.first),
            last: Some(count.last),
        });
        let mut kinds: Vec<_> = kinds.collect();
        kinds.sort_by(|a, b| {
            b.count.cmp(&a.count).then_with(|| (&a.cause, &a.error).cmp(&(&b.cause, &b.error)))
        });
        (kinds, self.newest.into_values().rev().map(|(row, _)| row).collect())
    }
}

fn row(letter: &DeadLetter) -> LetterRow {
    let (record, source) = (&letter.record, &letter.source);
    let topic = source.topic_partition.topic.to_string();
    LetterRow {
        partition: record.partition().0,
        offset: record.offset().0,
        source: (topic, source.topic_partition.partition.0, source.offset.0),
        cause: letter.cause.to_string(),
        error: cut(&letter.error),
        attempts: letter.attempts,
        first_failure: letter.first_failure,
        last_failure: letter.last_failure,
        group: letter.group.clone(),
        hops: letter.hops,
        key: record.key().map(|key| forms::forms(key)),
        value: record.value().map(|value| forms::forms(value)),
        headers: forms::headers(record.headers(), |name| !name.starts_with("kurier.dlq.")),
    }
}

/// As much of an error as is shown.
fn cut(error: &str) -> String {
    let shown = forms::beginning(error);
    if shown.len() < error.len() { format!("{shown}…") } else { error.to_owned() }
}

#[cfg(test)]
mod tests {
    use kurier::{Headers, Offset, PartitionId};

    use super::*;

    fn letter(offset: i64, cause: &str, error: &str, failed: &str) -> Record {
        let mut headers = Headers::new();
        headers.push("trace", Some("<b>".into()));
        for (name, value) in [
            ("topic", "orders"),
            ("partition", "1"),
            ("offset", "7"),
            ("cause", cause),
            ("error", error),
            ("attempts", "3"),
            ("first-failure", failed),
            ("last-failure", failed),
            ("group", "billing"),
            ("hops", "1"),
        ] {
            headers.push(format!("kurier.dlq.{name}"), Some(value.to_owned().into()));
        }
        Record::new("orders.dlq", PartitionId(0), Offset(offset)).with_headers(headers)
    }

    fn asked(cause: &str, error: &str, limit: usize) -> LettersAsked {
        LettersAsked { cause: cause.to_owned(), error: error.to_owned(), limit }
    }

    fn counted(asked: LettersAsked) -> (Vec<ErrorCount>, Vec<LetterRow>, u64) {
        let mut census = Census::new(asked).expect("it makes sense");
        census.count(letter(0, "rejected", "order 1 is gone", "2026-01-10T12:00:00Z"));
        census.count(letter(1, "rejected", "order 22 is gone", "2026-01-10T11:00:00Z"));
        census.count(letter(2, "retries-exhausted", "order 3 is gone", "2026-01-10T13:00:00Z"));
        census.count(letter(3, "panicked", "overflow", "2026-01-10T10:00:00Z"));
        census.count(Record::new("orders.dlq", PartitionId(0), Offset(4)));
        let foreign = census.foreign;
        let (kinds, letters) = census.rows();
        (kinds, letters, foreign)
    }

    #[test]
    fn letters_are_counted_by_cause_and_kind_of_error_and_the_newest_are_shown() {
        let (kinds, letters, foreign) = counted(asked("", "", 2));
        assert_eq!(foreign, 1);
        let told: Vec<_> =
            kinds.iter().map(|it| (it.cause.as_str(), it.error.as_str(), it.count)).collect();
        let expected = [
            ("rejected", "order <n> is gone", 2),
            ("panicked", "overflow", 1),
            ("retries-exhausted", "order <n> is gone", 1),
        ];
        assert_eq!(told, expected);
        assert_eq!(kinds[0].contains, "is gone");
        let at = |text: &str| text.parse().ok();
        let span = (at("2026-01-10T11:00:00Z"), at("2026-01-10T12:00:00Z"));
        assert_eq!((kinds[0].first, kinds[0].last), span);
        assert_eq!(letters.iter().map(|it| it.offset).collect::<Vec<_>>(), [2, 0]);
        assert_eq!(letters[0].source, ("orders".to_owned(), 1, 7));
        let names: Vec<_> = letters[0].headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["trace"], "without kurier's own, which stand beside it");
    }

    #[test]
    fn only_those_that_are_asked_for_are_shown_and_all_are_counted() {
        let shown = |cause, error| {
            let (kinds, letters, _) = counted(asked(cause, error, 50));
            assert_eq!(kinds.iter().map(|it| it.count).sum::<u64>(), 4);
            letters.iter().map(|it| it.offset).collect::<Vec<_>>()
        };
        assert_eq!(shown("rejected", ""), [0, 1]);
        assert_eq!(shown("", "is gone"), [2, 0, 1]);
        assert_eq!(shown("rejected", "22"), [1]);
        for wrong in [asked("refused", "", 1), asked("", "", 0), asked("", "", LIMIT_MAX + 1)] {
            assert!(Census::new(wrong).is_err());
        }
    }

    /// What stands in a letter's headers is as long as its writer likes.
    #[test]
    fn an_answer_is_bounded_in_bytes_and_has_the_newest() {
        for (error, fewest) in [("x".repeat(100_000), 100), ("\0".repeat(100_000), 15)] {
            let mut census = Census::new(asked("", "", LIMIT_MAX)).expect("it makes sense");
            for number in 0..i64::try_from(LIMIT_MAX).expect("few") {
                census.count(letter(number, "rejected", &error, "2026-01-10T12:00:00Z"));
            }
            let letters = census.rows().1;
            let bytes = serde_json::to_vec(&letters).expect("JSON").len();
            assert!(bytes <= ANSWER_BYTES, "{bytes} bytes of {} letters", letters.len());
            assert!(fewest < letters.len() && letters[0].offset == 199, "{}", letters.len());
            let offsets: Vec<_> = letters.iter().map(|letter| letter.offset).collect();
            assert!(offsets.windows(2).all(|pair| pair[0] == pair[1] + 1), "{offsets:?}");
            assert!(letters[0].error.ends_with('…'), "it is cut, and seen to be");
        }
    }

    #[test]
    fn many_kinds_are_told_apart_and_the_rest_is_one_more() {
        let mut census = Census::new(asked("", "", 1)).expect("it makes sense");
        let name = |number: i64| {
            let letter = |digit: i64| char::from(b'a' + u8::try_from(digit % 26).unwrap_or(0));
            format!("{}{}{}", letter(number / 676), letter(number / 26), letter(number))
        };
        for number in 0..1000 {
            census.count(letter(number, "rejected", &name(number), "2026-01-10T12:00:00Z"));
        }
        let (kinds, letters) = census.rows();
        assert_eq!((kinds.len(), letters.len()), (KINDS_MAX + 1, 1));
        assert_eq!((kinds[0].error.as_str(), kinds[0].count), (OTHERS, 800));
        assert_eq!((letters[0].offset, kinds[0].contains.as_str()), (999, ""));
    }
}
