//! What the operator's commands take: changes of topics and groups, and looking at them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};
use jiff::Timestamp;

use super::{duration, patience, property};

/// `--watch` and how often.
#[derive(Debug, Args)]
pub struct Watch {
    /// Look again and again until stopped: redrawn on a terminal, one JSON object a look elsewhere
    #[arg(long)]
    pub watch: bool,
    /// Time between two looks of --watch
    #[arg(long, value_name = "TIME", default_value = "1s", requires = "watch", value_parser = patience)]
    pub every: Duration,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("place").required(true).args(["to", "shift", "from_file"]))]
pub struct ResetArgs {
    /// The group; it must have no members
    pub group: String,
    /// A topic, or some of its partitions; may be repeated [default: the topics it has commits in]
    #[arg(long = "topic", value_name = "TOPIC[:0,1,…]", value_parser = chosen)]
    pub topics: Vec<Chosen>,
    /// earliest, latest, current, an offset, an RFC 3339 time, or a duration: 2h is two hours ago
    #[arg(long, value_name = "PLACE", value_parser = place)]
    pub to: Option<Place>,
    /// So many offsets on from what is committed; a number below zero goes back
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub shift: Option<i64>,
    /// What --export printed, CSV or JSON, or what kafka-consumer-groups exports
    #[arg(long, value_name = "FILE", conflicts_with = "topics")]
    pub from_file: Option<PathBuf>,
    /// Do it; without this nothing is changed, and what would be is shown
    #[arg(long)]
    pub execute: bool,
    /// Print the new offsets for --from-file and change nothing: topic,partition,offset, or with -o json
    /// an object a line. With --to current what the group has committed, also while it has members
    #[arg(long, conflicts_with = "execute")]
    pub export: bool,
}

/// A topic, or some of its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The topic.
    pub topic: String,
    /// All of them when none is named.
    pub partitions: Vec<i32>,
}

/// Where a group is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Earliest,
    Latest,
    Current,
    Offset(i64),
    Time(Timestamp),
    Ago(Duration),
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The topic
    pub name: String,
    /// How many partitions
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub partitions: u32,
    /// Replicas of each; by default as many as there are brokers, up to three
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub replication: Option<u16>,
    /// A setting of the topic. With three replicas or more, min.insync.replicas is 2 unless it is set here
    /// or the brokers ask for as many by themselves
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = property)]
    pub configs: Vec<(String, String)>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["partitions", "set", "unset"]))]
pub struct AlterArgs {
    /// The topic
    pub name: String,
    /// How many partitions it has from then on: more than now. Keys move to other partitions
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub partitions: Option<u32>,
    /// A setting gets a value; those not named stay as they are
    #[arg(long, value_name = "KEY=VALUE", value_parser = property)]
    pub set: Vec<(String, String)>,
    /// A setting is the brokers' default again
    #[arg(long, value_name = "KEY")]
    pub unset: Vec<String>,
}

#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// The topics [default: all but Kafka's own]
    pub names: Vec<String>,
    /// Only partitions of which not all replicas are in sync
    #[arg(long)]
    pub under_replicated: bool,
    /// Only partitions that refuse writes, since fewer replicas are in sync than min.insync.replicas
    #[arg(long)]
    pub under_min_isr: bool,
    /// Only partitions without a leader
    #[arg(long)]
    pub offline: bool,
    #[command(flatten)]
    pub watch: Watch,
}

fn chosen(text: &str) -> Result<Chosen, String> {
    let (topic, numbers) = text.split_once(':').unwrap_or((text, ""));
    let partitions: Result<Vec<i32>, _> =
        numbers.split(',').filter(|_| !numbers.is_empty()).map(str::parse).collect();
    match partitions {
        Ok(partitions) if !topic.is_empty() && partitions.iter().all(|number| 0 <= *number) => {
            Ok(Chosen { topic: topic.to_owned(), partitions })
        }
        _ => {
            Err("expected a topic such as orders, or some of its partitions: orders:0,2".to_owned())
        }
    }
}

fn place(text: &str) -> Result<Place, String> {
    match text {
        "earliest" => return Ok(Place::Earliest),
        "latest" => return Ok(Place::Latest),
        "current" => return Ok(Place::Current),
        _ => {}
    }
    if let Ok(offset) = text.parse() {
        return if 0 <= offset {
            Ok(Place::Offset(offset))
        } else {
            Err("an offset is not below zero; --shift goes back from what is committed".to_owned())
        };
    }
    if let Ok(time) = text.parse() {
        return Ok(Place::Time(time));
    }
    duration(text).map(Place::Ago).map_err(|_| {
        "expected earliest, latest, current, an offset, a time such as 2026-01-31T12:00:00Z, or a \
         duration such as 90m for so long ago"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_word_an_offset_a_time_or_so_long_ago() {
        let noon: Timestamp = "2026-01-31T12:00:00Z".parse().expect("a time");
        for (text, expected) in [
            ("earliest", Place::Earliest),
            ("latest", Place::Latest),
            ("current", Place::Current),
            ("0", Place::Offset(0)),
            ("17", Place::Offset(17)),
            ("2026-01-31T13:00:00+01:00", Place::Time(noon)),
            ("90m", Place::Ago(Duration::from_secs(5400))),
            ("PT1H", Place::Ago(Duration::from_secs(3600))),
        ] {
            assert_eq!(place(text), Ok(expected), "{text}");
        }
        for text in ["", "-3", "yesterday", "2026-01-31", "-2h"] {
            assert!(place(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_topic_is_chosen_whole_or_by_partitions() {
        let some = |partitions: &[i32]| {
            Ok(Chosen { topic: "orders".to_owned(), partitions: partitions.to_vec() })
        };
        assert_eq!(chosen("orders"), some(&[]));
        assert_eq!(chosen("orders:0,2"), some(&[0, 2]));
        for text in ["", ":1", "orders:x", "orders:-1", "orders:1,"] {
            assert!(chosen(text).is_err(), "{text}");
        }
    }
}
