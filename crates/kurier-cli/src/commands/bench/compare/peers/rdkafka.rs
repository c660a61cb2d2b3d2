//! librdkafka's own rdkafka_performance: the client that kurier is built on, with nothing around it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::contest::{Missing, RDKAFKA, Side};
use super::{BATCH_BYTES, COMMIT_EVERY_MS, Contestant, Task, Told, pair, probe};

/// The one that is named, on PATH, or beside this program.
pub(super) fn find(named: Option<&Path>, kurier: &Path) -> Result<Vec<Contestant>, Missing> {
    let tried: Vec<PathBuf> = match named {
        Some(named) => vec![named.to_owned()],
        None => vec![RDKAFKA.into(), kurier.with_file_name(RDKAFKA)],
    };
    // Without arguments it explains itself, and ends with an error.
    let is_it = |program: &&PathBuf| {
        let said = probe(&mut Command::new(program)).unwrap_or_default().1;
        said.contains("Usage") && said.contains("-G ")
    };
    let Some(program) = tried.iter().find(is_it).cloned() else {
        let tried: Vec<String> = tried.iter().map(|path| path.display().to_string()).collect();
        let reason = format!(
            "no rdkafka_performance at {}: bench/peer.sh builds it, --rdkafka-performance names it",
            tried.join(" or ")
        );
        return Err(Missing { name: RDKAFKA, reason });
    };
    let contestant = |side, call: fn(&Task<'_>) -> Vec<String>, read| {
        let program = program.clone();
        let call = Box::new(move |task: &Task<'_>| {
            let mut command = Command::new(&program);
            command.args(call(task));
            command
        });
        Contestant { name: RDKAFKA, side, share: 1, typed: false, call, read }
    };
    Ok(vec![
        contestant(Side::Produce, produce, produced),
        contestant(Side::Consume, consume, consumed),
    ])
}

fn produce(task: &Task<'_>) -> Vec<String> {
    // It sends one message over and over: a random one, at least.
    let mut arguments = arguments(&["-P", "-t", task.topic, "-m", task.payload, "-a", "-1"], task);
    arguments.extend(["-s".to_owned(), task.size.to_string()]);
    let linger = pair("linger.ms", task.linger_ms);
    let codec = pair("compression.codec", task.compression);
    let batch = pair("batch.size", BATCH_BYTES);
    for property in [linger, codec, batch, pair("enable.idempotence", true)] {
        arguments.extend(["-X".to_owned(), property]);
    }
    arguments
}

fn consume(task: &Task<'_>) -> Vec<String> {
    let mut arguments = arguments(&["-G", task.group, "-t", task.topic], task);
    for property in [
        pair("auto.offset.reset", "earliest"),
        pair("enable.auto.commit", true),
        pair("auto.commit.interval.ms", COMMIT_EVERY_MS),
        pair("check.crcs", true),
    ] {
        arguments.extend(["-X".to_owned(), property]);
    }
    arguments
}

fn arguments(first: &[&str], task: &Task<'_>) -> Vec<String> {
    let count = task.messages.to_string();
    let common = ["-b", task.bootstrap, "-c", &count, "-q"];
    first.iter().chain(&common).map(|text| (*text).to_owned()).collect()
}

/// `% N messages produced (B bytes), D delivered (offset O, F failed) in T ms: …`
fn produced(said: &str) -> Result<Told, String> {
    told(said, " messages produced (", "bytes), ", " delivered (")
}

/// `% N messages (B bytes) consumed in T ms: …`
fn consumed(said: &str) -> Result<Told, String> {
    told(said, " messages (", "% ", " messages (")
}

/// From the last line with `mark`: the number between `before` and `after`, and the time behind ` in `.
fn told(said: &str, mark: &str, before: &str, after: &str) -> Result<Told, String> {
    let line = said.lines().rfind(|line| line.contains(mark) && line.contains(" in "));
    let read = |line: &str| {
        let (_, rest) = line.split_once(before)?;
        let messages = rest.split_once(after)?.0.parse().ok()?;
        let (_, rest) = line.rsplit_once(" in ")?;
        let millis: u64 = rest.split_once("ms:")?.0.parse().ok()?;
        Some(Told { messages, seconds: millis as f64 / 1000.0 })
    };
    // The summary's own ` in queue` comes behind the time.
    let cut = |line: &str| line.split(" in queue").next().map(str::to_owned);
    let line = line.and_then(cut).unwrap_or_default();
    read(&line).ok_or_else(|| format!("no summary in {said:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_summaries_are_read() {
        let said = "% Sending 20000 messages of size 200 bytes\n\
            % 20000 messages produced (4000000 bytes), 19999 delivered (offset 6699, 1 failed) in 71ms: \
            278466 msgs/s and 55.69 MB/s, 0 produce failures, 0 in queue, no compression\n";
        assert_eq!(produced(said), Ok(Told { messages: 19_999, seconds: 0.071 }));
        let said = "% 20000 messages (4000000 bytes) consumed in 1014ms: 19720 msgs/s (3.94 MB/s)\n\
            % Average application fetch latency: 19us\n";
        assert_eq!(consumed(said), Ok(Told { messages: 20_000, seconds: 1.014 }));
        assert!(consumed("% Consume error").is_err());
    }
}
