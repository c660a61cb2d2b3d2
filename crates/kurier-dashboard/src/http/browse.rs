//! Messages of a topic, looked at from a place on, with what is to be in them.
//!
//! Partitions are merged by time: what is shown next is the first of what comes next in each, and a
//! partition is read on when nothing of it waits. So an answer has no gap in any partition, and the next
//! one goes on behind it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use kurier::{PartitionId, Record};
use tokio::time::Instant;

use super::forms;
use super::look::Look;
use super::refused::Refused;
use super::spans::{Span, spans};
use super::walk::{Bounds, Direction, Walk};
use crate::view::{MessageRow, MessagesAnswer, MessagesAsked, Stopped};

/// The most messages of an answer.
pub(super) const LIMIT_MAX: usize = 500;
/// How long a look takes at most.
pub(super) const TIME: Duration = Duration::from_secs(5);
/// Bytes that a look reads at most.
pub(super) const BYTES: usize = 32 << 20;
/// Bytes of an answer, unless a single message has more.
pub(super) const ANSWER_BYTES: usize = 4 << 20;

/// Looks at messages of `topic`.
///
/// # Errors
/// When what is asked for makes no sense, there is no such topic, or the cluster does not answer.
pub(super) async fn browse(
    look: Look,
    topic: &str,
    asked: &MessagesAsked,
) -> Result<MessagesAnswer, Refused> {
    let begun = Instant::now();
    let wanted = Wanted::read(asked)?;
    let spans = spans(&look.admin, topic, asked.partition, wanted.from.time()).await?;
    let open = wanted.ranges(&spans.known);
    let bounds = Bounds { deadline: begun + TIME, bytes: BYTES };
    let direction = wanted.from.direction();
    let reading = (look.reading, look.permit);
    let mut walk = Walk::new(reading, topic, direction, open, asked.limit, bounds);
    let mut page = Page { limit: asked.limit, rows: Vec::new(), weight: 0 };
    let mut merge = Merge { direction, waiting: BTreeMap::new() };
    let stopped = loop {
        let has_all = |merge: &Merge| walk.open().keys().all(|partition| merge.has(*partition));
        let full = page.fill(&mut merge, has_all);
        if let Some(full) = full {
            let is_end = merge.waiting.is_empty() && walk.open().is_empty();
            break if is_end { Stopped::End } else { full };
        }
        let mut found = BTreeMap::<PartitionId, Vec<Found>>::new();
        let seen = |record: Record| {
            if wanted.filter.takes(&record) {
                found.entry(record.partition()).or_default().push(Found::of(record));
            }
        };
        let stepped = walk.step(|partition| !merge.has(partition), seen).await;
        merge.add(found);
        match stepped {
            Ok(true) => {}
            Ok(false) => break Stopped::End,
            Err(stopped) => {
                // What was found is shown, though something older or newer may be missing.
                page.fill(&mut merge, |_| true);
                break stopped;
            }
        }
    };
    let next = merge.next(walk.open());
    let Walk { scanned, of, left_out, .. } = walk;
    let left_out = [spans.left_out, left_out].concat();
    let (messages, seconds) = (page.rows, begun.elapsed().as_secs_f64());
    Ok(MessagesAnswer { messages, scanned, of, seconds, stopped, next, left_out })
}

/// What is asked for, understood. *Pure.*
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    from: From,
    /// Where to go on.
    at: Option<BTreeMap<PartitionId, i64>>,
    filter: Filter,
}

/// Where a look begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Start,
    End,
    Offset(i64),
    Time(Timestamp),
}

impl Wanted {
    fn read(asked: &MessagesAsked) -> Result<Self, Refused> {
        let wrong = |what: &str, reason: &str| Refused::asked_wrong(format!("{what}: {reason}"));
        if !(1..=LIMIT_MAX).contains(&asked.limit) {
            return Err(wrong("limit", &format!("1 to {LIMIT_MAX} are possible")));
        }
        if asked.partition.is_some_and(|partition| partition < 0) {
            return Err(wrong("partition", "partitions are numbered from 0"));
        }
        let from = asked.from.parse().map_err(|reason: &str| wrong("from", reason))?;
        let at = match asked.at.as_str() {
            "" => None,
            at => {
                let places = at.split(',').map(place).collect::<Option<_>>();
                Some(places.ok_or_else(|| wrong("at", "expected PARTITION:OFFSET,…"))?)
            }
        };
        Ok(Self { from, at, filter: Filter::new(&asked.key, &asked.value, &asked.header) })
    }

    /// What of each partition is looked at.
    fn ranges(&self, known: &BTreeMap<PartitionId, Span>) -> BTreeMap<PartitionId, Range<i64>> {
        let range = |(partition, Span { log, at }): (&PartitionId, &Span)| {
            let go_on = match &self.at {
                Some(places) => Some(places.get(partition)?.clamp(&log.start, &log.end)),
                None => None,
            };
            let range = match self.from {
                From::End => log.start..*go_on.unwrap_or(&log.end),
                From::Start => *go_on.unwrap_or(&log.start)..log.end,
                From::Offset(offset) => {
                    *go_on.unwrap_or(&offset.clamp(log.start, log.end))..log.end
                }
                From::Time(_) => *go_on.unwrap_or(at)..log.end,
            };
            Some((*partition, range))
        };
        known.iter().filter_map(range).collect()
    }
}

fn place(text: &str) -> Option<(PartitionId, i64)> {
    let (partition, offset) = text.split_once(':')?;
    let (partition, offset): (i32, i64) = (partition.parse().ok()?, offset.parse().ok()?);
    (0 <= partition && 0 <= offset).then_some((PartitionId(partition), offset))
}

impl From {
    fn direction(self) -> Direction {
        match self {
            Self::End => Direction::Backward,
            Self::Start | Self::Offset(_) | Self::Time(_) => Direction::Forward,
        }
    }

    fn time(self) -> Option<Timestamp> {
        match self {
            Self::Time(time) => Some(time),
            Self::Start | Self::End | Self::Offset(_) => None,
        }
    }
}

impl FromStr for From {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "start" => Ok(Self::Start),
            None if text == "end" => Ok(Self::End),
            Some(("offset", offset)) => match offset.parse() {
                Ok(offset) if 0 <= offset => Ok(Self::Offset(offset)),
                _ => Err("an offset is a number from 0 on: offset:17"),
            },
            Some(("time", time)) => {
                let expected = "a time is RFC 3339: time:2026-01-31T12:00:00Z";
                time.parse().map(Self::Time).map_err(|_| expected)
            }
            _ => Err("start, end, offset:N and time:RFC3339 are possible"),
        }
    }
}

/// What is to be in a message. *Pure.*
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    key: Vec<u8>,
    value: Vec<u8>,
    header: Vec<u8>,
}

impl Filter {
    pub(super) fn new(key: &str, value: &str, header: &str) -> Self {
        Self { key: key.into(), value: value.into(), header: header.into() }
    }

    pub(super) fn takes(&self, record: &Record) -> bool {
        let in_header = || {
            record.headers().iter().any(|header| {
                contains(Some(header.name.as_bytes()), &self.header)
                    || contains(header.value.as_deref(), &self.header)
            })
        };
        contains(record.key().map(|key| &key[..]), &self.key)
            && contains(record.value().map(|value| &value[..]), &self.value)
            && (self.header.is_empty() || in_header())
    }
}

/// Nothing is in everything, also where there is nothing.
fn contains(bytes: Option<&[u8]>, part: &[u8]) -> bool {
    let Some(first) = part.first() else { return true };
    let Some(bytes) = bytes else { return false };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(part) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

/// A message that was found and is not shown yet: as it will be shown, if that is smaller. *Pure.*
#[derive(Debug)]
enum Found {
    Whole(Record),
    Shown { row: MessageRow, weight: usize },
}

impl Found {
    fn of(record: Record) -> Self {
        let weight = forms::weight(&record);
        if weight < record.size() {
            Self::Shown { row: forms::message(&record), weight }
        } else {
            Self::Whole(record)
        }
    }

    fn timestamp(&self) -> Option<Timestamp> {
        match self {
            Self::Whole(record) => record.timestamp(),
            Self::Shown { row, .. } => row.timestamp,
        }
    }

    fn place(&self) -> (PartitionId, i64) {
        match self {
            Self::Whole(record) => (record.partition(), record.offset().0),
            Self::Shown { row, .. } => (PartitionId(row.partition), row.offset),
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Whole(record) => forms::weight(record),
            Self::Shown { weight, .. } => *weight,
        }
    }

    fn row(self) -> MessageRow {
        match self {
            Self::Whole(record) => forms::message(&record),
            Self::Shown { row, .. } => row,
        }
    }
}

/// Messages that were found and are not shown yet, of each partition in the order of the walk. *Pure.*
#[derive(Debug)]
struct Merge {
    direction: Direction,
    /// Without partitions that have none.
    waiting: BTreeMap<PartitionId, VecDeque<Found>>,
}

impl Merge {
    fn has(&self, partition: PartitionId) -> bool {
        self.waiting.contains_key(&partition)
    }

    /// Adds those of a window, which are in the order of the log.
    fn add(&mut self, found: BTreeMap<PartitionId, Vec<Found>>) {
        for (partition, mut records) in found {
            if self.direction == Direction::Backward {
                records.reverse();
            }
            self.waiting.entry(partition).or_default().extend(records);
        }
    }

    /// The one that comes next: by time the first of what is first in each partition.
    fn first(&self) -> Option<&Found> {
        let firsts = self.waiting.values().filter_map(VecDeque::front);
        match self.direction {
            Direction::Forward => firsts.min_by_key(|found| found.timestamp()),
            Direction::Backward => firsts.max_by_key(|found| found.timestamp()),
        }
    }

    /// The next of a partition.
    fn take(&mut self, partition: PartitionId) -> Option<Found> {
        let waiting = self.waiting.get_mut(&partition)?;
        let first = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&partition);
        }
        first
    }

    /// Where the next look goes on: at what waits, else at what was not looked at.
    fn next(&self, open: &BTreeMap<PartitionId, Range<i64>>) -> Vec<(i32, i64)> {
        let mut next: BTreeMap<PartitionId, i64> = open
            .iter()
            .map(|(partition, range)| match self.direction {
                Direction::Forward => (*partition, range.start),
                Direction::Backward => (*partition, range.end),
            })
            .collect();
        for (partition, offset) in
            self.waiting.values().filter_map(|all| Some(all.front()?.place()))
        {
            let at = match self.direction {
                Direction::Forward => offset,
                Direction::Backward => offset + 1,
            };
            next.insert(partition, at);
        }
        next.into_iter().map(|(partition, offset)| (partition.0, offset)).collect()
    }
}

/// The messages of an answer.
struct Page {
    limit: usize,
    rows: Vec<MessageRow>,
    weight: usize,
}

impl Page {
    /// Takes what comes next as long as `is_known` says that it does. Says why no more fit.
    fn fill(&mut self, merge: &mut Merge, is_known: impl Fn(&Merge) -> bool) -> Option<Stopped> {
        loop {
            if self.limit <= self.rows.len() {
                return Some(Stopped::Limit);
            }
            if !is_known(merge) {
                return None;
            }
            let first = merge.first()?;
            let (weight, (partition, _)) = (first.weight(), first.place());
            if ANSWER_BYTES < self.weight + weight && !self.rows.is_empty() {
                return Some(Stopped::Bytes);
            }
            self.weight += weight;
            self.rows.push(merge.take(partition)?.row());
        }
    }
}

#[cfg(test)]
mod tests;
