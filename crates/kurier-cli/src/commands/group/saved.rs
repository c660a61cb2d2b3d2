//! Offsets as `--export` writes them and `--from-file` reads them: the CSV of Kafka's own
//! `kafka-consumer-groups`, or a JSON object a line.

use std::collections::BTreeMap;

use kurier::{Offset, PartitionId, TopicPartition};
use serde::Deserialize;
use serde_json::json;

/// One of them.
pub fn csv(partition: &TopicPartition, offset: Offset) -> String {
    format!("{},{},{offset}\n", partition.topic, partition.partition)
}

/// One of them.
pub fn json(partition: &TopicPartition, offset: Offset) -> serde_json::Value {
    json!({ "topic": &*partition.topic, "partition": partition.partition.0, "offset": offset.0 })
}

/// All of them, one a line, in either form.
///
/// # Errors
/// Which line is none, or names a partition again.
pub fn read(text: &str) -> Result<BTreeMap<TopicPartition, Offset>, String> {
    let mut all = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() {
            continue;
        }
        let read = if line.starts_with('{') { from_json(line) } else { from_csv(line) };
        let (partition, offset) = read.map_err(|reason| format!("{number}: {reason}"))?;
        if all.insert(partition.clone(), offset).is_some() {
            return Err(format!("{number}: {partition} is named twice"));
        }
    }
    if all.is_empty() { Err("1: no offsets in it".to_owned()) } else { Ok(all) }
}

#[derive(Deserialize)]
struct Row {
    topic: String,
    partition: i32,
    offset: i64,
}

fn from_json(line: &str) -> Result<(TopicPartition, Offset), String> {
    let row: Row = serde_json::from_str(line).map_err(|error| error.to_string())?;
    checked(row)
}

fn from_csv(line: &str) -> Result<(TopicPartition, Offset), String> {
    const EXPECTED: &str = "expected topic,partition,offset";
    let [topic, partition, offset] =
        line.split(',').map(str::trim).collect::<Vec<_>>().try_into().map_err(|_| EXPECTED)?;
    // Kafka's tool quotes long names; no name has a comma or a quote in it.
    let topic = topic.trim_matches('"').to_owned();
    let number = |_| EXPECTED;
    let (partition, offset) = (partition.parse().map_err(number)?, offset.parse().map_err(number)?);
    checked(Row { topic, partition, offset })
}

fn checked(row: Row) -> Result<(TopicPartition, Offset), String> {
    let Row { topic, partition, offset } = row;
    if topic.is_empty() || partition < 0 || offset < 0 {
        return Err("a topic has a name, and partition and offset are not below zero".to_owned());
    }
    Ok((TopicPartition::new(topic, PartitionId(partition)), Offset(offset)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exported_is_read_again_in_both_forms() {
        let offsets: BTreeMap<_, _> = [("orders", 0, 7), ("orders", 1, 0), ("a.b-c", 12, 1 << 40)]
            .map(|(topic, partition, offset)| {
                (TopicPartition::new(topic, PartitionId(partition)), Offset(offset))
            })
            .into();
        let lines = |line: fn(&TopicPartition, Offset) -> String| {
            offsets.iter().map(|(partition, offset)| line(partition, *offset)).collect::<String>()
        };
        assert_eq!(lines(csv), "a.b-c,12,1099511627776\norders,0,7\norders,1,0\n");
        assert_eq!(read(&lines(csv)).as_ref(), Ok(&offsets));
        let json = lines(|partition, offset| format!("{}\n", json(partition, offset)));
        assert_eq!(read(&json).as_ref(), Ok(&offsets));
    }

    #[test]
    fn kafkas_quotes_and_the_line_ends_of_other_systems_are_read() {
        let name = "a-topic-whose-name-is-a-long-one";
        let read = read(&format!("\"{name}\",3,44\r\n")).expect("read");
        assert_eq!(read, [(TopicPartition::new(name, PartitionId(3)), Offset(44))].into());
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for (text, reason) in [
            ("", "1: no offsets in it"),
            ("orders,0,1\norders,0", "2: expected topic,partition,offset"),
            ("group,orders,0,1", "1: expected topic,partition,offset"),
            ("orders,0,x", "1: expected topic,partition,offset"),
            ("orders,0,-1", "not below zero"),
            ("orders,0,1\n\norders,0,2", "3: orders[0] is named twice"),
            ("{\"topic\":\"orders\",\"partition\":0}", "missing field `offset`"),
        ] {
            let error = read(text).expect_err("refused");
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
