//! What the commands of dead-letter topics take: which dead letters are meant, and what to do with them.

use std::num::NonZeroU64;
use std::ops::Range;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use kurier::{DeadLetterCause, Offset, PartitionId, Replay, Selection};

use super::some;

#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// How many there are by error, source, cause and age; nothing is committed
    List(ListArgs),
    /// One of them: where it comes from, why it is here, headers and payload
    Show(ShowArgs),
    /// Send them again to the topics they come from, at least once and in their order; the same command goes
    /// on where it was interrupted
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// The dead-letter topic
    pub topic: String,
    /// Only this count, with all its rows; without, those with the most
    #[arg(long, value_name = "WHAT")]
    pub by: Option<By>,
    #[command(flatten)]
    pub chosen: SelectionArgs,
}

/// What dead letters are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// The error's text
    Error,
    /// The topic they come from
    Source,
    /// Why they were given up
    Cause,
    /// The time since they failed last
    Age,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The dead-letter topic
    pub topic: String,
    /// Where it lies there
    #[arg(value_name = "PARTITION:OFFSET", value_parser = place)]
    pub place: (PartitionId, Offset),
    /// How the payload is shown
    #[arg(long = "as", value_name = "FORM", default_value = "auto")]
    pub form: Form,
}

/// How a payload is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// What it is: JSON, text, or else hex
    Auto,
    /// As it is, what is no UTF-8 replaced
    Text,
    /// JSON, with line breaks
    Json,
    /// Bytes, sixteen a line
    Hex,
}

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The dead-letter topic
    pub topic: String,
    #[command(flatten)]
    pub chosen: SelectionArgs,
    /// The one topic they all go to [default: each to where it comes from]
    #[arg(long, value_name = "TOPIC")]
    pub to: Option<String>,
    /// At most this many messages a second
    #[arg(long, value_name = "N", value_parser = some)]
    pub rate: Option<NonZeroU64>,
    /// End after this many messages; the same command goes on behind them
    #[arg(long, value_name = "N", value_parser = some)]
    pub max: Option<NonZeroU64>,
    /// A message that was given up this often is not sent again, and named
    #[arg(long, value_name = "N", default_value_t = Replay::HOPS_MAX_DEFAULT,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub max_hops: u32,
    /// The group that keeps how far it has got [default: a name made of the topic, the selection and --to]
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Forget how far it has got, and begin with the oldest
    #[arg(long)]
    pub restart: bool,
    /// Print what would be sent, one a line, and send nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Which dead letters are meant: those for which all of this holds.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which of them")]
pub struct SelectionArgs {
    /// Their error contains this text
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// Why they were given up: rejected, retries-exhausted, panicked or unreadable
    #[arg(long, value_name = "CAUSE")]
    cause: Option<DeadLetterCause>,
    /// The topic they come from
    #[arg(long, value_name = "TOPIC")]
    source: Option<String>,
    /// Their key
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// They failed last at this RFC 3339 time or later
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// They failed last before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// The partition of the dead-letter topic they lie in
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// One offset of that partition, 17, or several: 17..20 without the last one, 17.. without end
    #[arg(long, value_name = "OFFSETS", requires = "partition", value_parser = offsets)]
    offsets: Option<Range<Offset>>,
}

impl SelectionArgs {
    /// For the library.
    pub fn selection(self) -> Selection {
        let mut selection = Selection::default();
        selection.error = self.error;
        selection.cause = self.cause;
        selection.source = self.source;
        selection.key = self.key.map(Into::into);
        selection.from = self.from;
        selection.until = self.until;
        selection.partition = self.partition.map(PartitionId);
        selection.offsets = self.offsets;
        selection
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "expected a time such as 2026-01-31T12:00:00Z".to_owned())
}

fn place(text: &str) -> Result<(PartitionId, Offset), String> {
    let read = || {
        let (partition, offset) = text.split_once(':')?;
        let (partition, offset) = (partition.parse().ok()?, offset.parse().ok()?);
        (0 <= partition && 0 <= offset).then_some((PartitionId(partition), Offset(offset)))
    };
    read().ok_or_else(|| "expected partition and offset, such as 2:17".to_owned())
}

fn offsets(text: &str) -> Result<Range<Offset>, String> {
    let read = || -> Option<Range<i64>> {
        let Some((first, end)) = text.split_once("..") else {
            let one: i64 = text.parse().ok()?;
            return Some(one..one.checked_add(1)?);
        };
        let end = if end.is_empty() { i64::MAX } else { end.parse().ok()? };
        Some(first.parse().ok()?..end)
    };
    match read() {
        Some(range) if 0 <= range.start && range.start < range.end => {
            Ok(Offset(range.start)..Offset(range.end))
        }
        _ => Err("expected an offset such as 17, or 17..20, or 17..".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_one_several_or_all_from_one_on() {
        for (text, expected) in [
            ("17", Ok(Offset(17)..Offset(18))),
            ("17..20", Ok(Offset(17)..Offset(20))),
            ("0..", Ok(Offset(0)..Offset(i64::MAX))),
        ] {
            assert_eq!(offsets(text), expected, "{text}");
        }
        for text in ["", "..", "..5", "5..5", "6..5", "-1", "-1..3", "a", "1...3"] {
            assert!(offsets(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_place_is_a_partition_and_an_offset() {
        assert_eq!(place("2:17"), Ok((PartitionId(2), Offset(17))));
        for text in ["", "2", "2:", ":17", "-1:3", "1:-3", "a:b", "1:2:3"] {
            assert!(place(text).is_err(), "{text}");
        }
    }
}
