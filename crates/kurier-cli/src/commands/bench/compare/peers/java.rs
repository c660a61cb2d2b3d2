//! Kafka's own kafka-producer-perf-test and kafka-consumer-perf-test. The latter checks no checksums
//! (`check.crcs=false`, its own choice) and commits every 5 s.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::contest::{JAVA, Missing, Side};
use super::{BATCH_BYTES, Contestant, Task, Told, pair, probe};

/// How the tools are started.
#[derive(Debug, Clone)]
enum Launcher {
    /// By scripts: the folder with them, if PATH has none, and what their names end with.
    Scripts(Option<PathBuf>, &'static str),
    /// From a folder with jars.
    Jars(PathBuf),
}

const PRODUCER: (&str, &str) = ("kafka-producer-perf-test", "ProducerPerformance");
const CONSUMER: (&str, &str) = ("kafka-consumer-perf-test", "ConsumerPerformance");
/// As much as kurier's producer takes by default (`buffer.memory`).
const BUFFER_BYTES: &str = "201326592";

/// In the folder that is named, or on PATH.
pub(super) fn find(named: Option<&Path>) -> Result<Vec<Contestant>, Missing> {
    let tried = match named {
        Some(folder) if folder.join("bin").is_dir() => {
            vec![Launcher::Scripts(Some(folder.join("bin")), ".sh")]
        }
        Some(folder) => vec![Launcher::Jars(folder.to_owned())],
        None => vec![Launcher::Scripts(None, ".sh"), Launcher::Scripts(None, "")],
    };
    let explains = |launcher: &&Launcher| {
        let said = probe(launcher.command(PRODUCER).arg("--help")).unwrap_or_default().1;
        said.contains("--num-records")
    };
    let Some(launcher) = tried.iter().find(explains).cloned() else {
        let reason = match named {
            Some(folder) => format!(
                "--kafka {}: neither has it bin/kafka-producer-perf-test.sh, nor does java start the tool from jars \
                 there",
                folder.display()
            ),
            None => "no kafka-producer-perf-test(.sh) on PATH: --kafka names Kafka's folder, or one with its jars"
                .to_owned(),
        };
        return Err(Missing { name: JAVA, reason });
    };
    let contestant =
        |side, tool: (&'static str, &'static str), call: fn(&Task<'_>) -> Vec<String>, read| {
            let launcher = launcher.clone();
            let call = Box::new(move |task: &Task<'_>| {
                let mut command = launcher.command(tool);
                command.args(call(task));
                command
            });
            Contestant { name: JAVA, side, share: 1, typed: false, call, read }
        };
    Ok(vec![
        contestant(Side::Produce, PRODUCER, produce, produced),
        contestant(Side::Consume, CONSUMER, consume, consumed),
    ])
}

impl Launcher {
    fn command(&self, (script, class): (&str, &str)) -> Command {
        match self {
            Self::Scripts(folder, ending) => {
                let script = format!("{script}{ending}");
                Command::new(folder.as_ref().map_or(script.clone().into(), |it| it.join(script)))
            }
            Self::Jars(folder) => {
                let mut command = Command::new("java");
                command.arg("-Xmx512m").arg("-cp").arg(folder.join("*"));
                command.arg(format!("org.apache.kafka.tools.{class}"));
                command
            }
        }
    }
}

// The older names of options: every version up to 4 has them.

fn produce(task: &Task<'_>) -> Vec<String> {
    let mut arguments = owned(&["--topic", task.topic, "--throughput", "-1", "--num-records"]);
    arguments.push(task.messages.to_string());
    arguments.extend(["--payload-file".to_owned(), task.payloads.display().to_string()]);
    arguments.extend([
        "--producer-props".to_owned(),
        pair("bootstrap.servers", task.bootstrap),
        pair("acks", "all"),
        pair("enable.idempotence", true),
        pair("linger.ms", task.linger_ms),
        pair("compression.type", task.compression),
        pair("batch.size", BATCH_BYTES),
        pair("buffer.memory", BUFFER_BYTES),
    ]);
    arguments
}

fn consume(task: &Task<'_>) -> Vec<String> {
    let mut arguments = owned(&["--bootstrap-server", task.bootstrap, "--topic", task.topic]);
    arguments.extend(owned(&["--group", task.group, "--timeout", "60000", "--messages"]));
    arguments.push(task.messages.to_string());
    arguments
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// `N records sent, R records/sec (…), …, D ms 99.9th.`; the lines between lack the percentiles.
fn produced(said: &str) -> Result<Told, String> {
    let line = said.lines().rfind(|line| line.contains(" ms 99.9th"));
    let read = |line: &str| {
        let (messages, rest) = line.split_once(" records sent, ")?;
        let messages: u64 = messages.trim().parse().ok()?;
        // Some locales write a comma.
        let rate: f64 = rest.split_once(" records/sec")?.0.replace(',', ".").parse().ok()?;
        Some(Told { messages, seconds: messages as f64 / rate })
    };
    line.and_then(read).ok_or_else(|| format!("no summary in {said:?}"))
}

/// Its headings and figures; `fetch.time.ms` is the time without joining the group.
fn consumed(said: &str) -> Result<Told, String> {
    let read = || {
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(", ")).collect();
        let headings = lines.iter().rposition(|line| line.starts_with("start.time"))?;
        let fields =
            |line: &str| line.split(',').map(|it| it.trim().to_owned()).collect::<Vec<_>>();
        let (headings, figures) = (fields(lines[headings]), fields(lines.get(headings + 1)?));
        let figure = |name: &str| {
            let at = headings.iter().position(|heading| heading == name)?;
            figures.get(at)?.parse::<u64>().ok()
        };
        Some(Told {
            messages: figure("data.consumed.in.nMsg")?,
            seconds: figure("fetch.time.ms")? as f64 / 1000.0,
        })
    };
    read().ok_or_else(|| format!("no figures in {said:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_producers_last_line_is_read_and_not_those_between() {
        let said = "19993 records sent, 3998.6 records/sec (0.76 MB/sec), 12.0 ms avg latency, 300.0 ms max latency.\n\
            50000 records sent, 25000.000000 records/sec (4.77 MB/sec), 3.14 ms avg latency, 41.00 ms max latency, \
            2 ms 50th, 6 ms 95th, 13 ms 99th, 40 ms 99.9th.\n";
        assert_eq!(produced(said), Ok(Told { messages: 50_000, seconds: 2.0 }));
        assert!(produced("19993 records sent, 3998.6 records/sec").is_err());
    }

    #[test]
    fn the_consumers_figures_are_found_by_their_headings() {
        let said = "WARNING: option [messages] has been deprecated\n\
            start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, \
            fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec\n\
            2026-11-30 16:00:00:000, 2026-11-30 16:00:04:000, 1.9073, 0.4768, 20000, 5000.0000, 3500, 500, 3.8147, \
            40000.0000\n";
        assert_eq!(consumed(said), Ok(Told { messages: 20_000, seconds: 0.5 }));
        assert!(consumed("start.time, end.time\n").is_err());
    }
}
