//! confluent-kafka, which is librdkafka in Python, and kafka-python, which is Python alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::super::contest::{CONFLUENT, KAFKA_PYTHON, Missing, Side};
use super::{BATCH_BYTES, COMMIT_EVERY_MS, Contestant, Task, Told, last_line, probe};

const CONFLUENT_SCRIPT: &str = include_str!("confluent.py");
const KAFKA_PYTHON_SCRIPT: &str = include_str!("kafka_python.py");
/// kafka-python is slower by a factor of ten and more.
const SLOW_SHARE: u64 = 10;

/// If `python` has it.
pub(super) fn confluent(python: &Path) -> Result<Vec<Contestant>, Missing> {
    let module = Module { name: CONFLUENT, module: "confluent_kafka", script: CONFLUENT_SCRIPT };
    module.find(python, 1)
}

/// If `python` has it.
pub(super) fn kafka_python(python: &Path) -> Result<Vec<Contestant>, Missing> {
    let module = Module { name: KAFKA_PYTHON, module: "kafka", script: KAFKA_PYTHON_SCRIPT };
    module.find(python, SLOW_SHARE)
}

struct Module {
    name: &'static str,
    module: &'static str,
    script: &'static str,
}

impl Module {
    fn find(self, python: &Path, share: u64) -> Result<Vec<Contestant>, Missing> {
        let Self { name, module, script } = self;
        let shown = python.display();
        let import = format!("import {module}");
        let reason = match probe(Command::new(python).arg("-c").arg(import)) {
            Some((true, _)) => None,
            Some((false, said)) => Some(format!(
                "{shown} has no {name} ({}): pip install {name}, or --python names another Python",
                last_line(&said)
            )),
            None => Some(format!("there is no {shown}: --python names a Python")),
        };
        if let Some(reason) = reason {
            return Err(Missing { name, reason });
        }
        let python: PathBuf = python.to_owned();
        let contestant = |side: Side| {
            let python = python.clone();
            let call = Box::new(move |task: &Task<'_>| {
                let mut command = Command::new(&python);
                command.args(["-c", script]).args(arguments(side, task));
                command
            });
            Contestant { name, side, share, typed: false, call, read: told }
        };
        Ok(vec![contestant(Side::Produce), contestant(Side::Consume)])
    }
}

fn arguments(side: Side, task: &Task<'_>) -> Vec<String> {
    let messages = task.messages.to_string();
    let (linger, payloads) = (task.linger_ms.to_string(), task.payloads.display().to_string());
    let of_side = match side {
        Side::Produce => vec![&*linger, task.compression, BATCH_BYTES, &*payloads],
        Side::Consume => vec![task.group, COMMIT_EVERY_MS],
    };
    let common = [side.name(), task.bootstrap, task.topic, &messages];
    common.into_iter().chain(of_side).map(str::to_owned).collect()
}

/// One JSON object, the last line.
fn told(said: &str) -> Result<Told, String> {
    #[derive(Deserialize)]
    struct Line {
        messages: u64,
        seconds: f64,
    }
    let line: Line = serde_json::from_str(last_line(said))
        .map_err(|error| format!("{error} in {:?}", last_line(said)))?;
    Ok(Told { messages: line.messages, seconds: line.seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_read() {
        let said = "a warning\n{\"messages\": 1000, \"seconds\": 0.25}\n";
        assert_eq!(told(said), Ok(Told { messages: 1_000, seconds: 0.25 }));
        assert!(told("").is_err());
    }
}
