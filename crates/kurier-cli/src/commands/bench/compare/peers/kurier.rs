//! This program itself, as a process of its own like all the others.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::super::contest::{KURIER, KURIER_BATCH, KURIER_OUTBOX, KURIER_TYPED, Side};
use super::{BATCH_BYTES, Contestant, Task, Told, pair};

/// Every way it is measured in.
pub(super) fn all(program: &Path) -> Vec<Contestant> {
    let contestant = |name, side, typed, more: fn(&Task<'_>) -> Vec<String>| {
        let program = program.to_owned();
        let call = Box::new(move |task: &Task<'_>| {
            let mut command = call(&program, side, task);
            if typed {
                command.arg("--typed");
            }
            command.args(more(task));
            command
        });
        let read = match side {
            Side::Produce => produced,
            Side::Consume => consumed,
        };
        Contestant { name, side, share: 1, typed, call, read }
    };
    vec![
        contestant(KURIER, Side::Produce, false, |_| Vec::new()),
        contestant(KURIER_TYPED, Side::Produce, true, |_| Vec::new()),
        contestant(KURIER_OUTBOX, Side::Produce, false, |task| {
            vec!["--outbox".to_owned(), task.scratch.display().to_string()]
        }),
        contestant(KURIER, Side::Consume, false, |_| Vec::new()),
        contestant(KURIER_TYPED, Side::Consume, true, |_| Vec::new()),
        contestant(KURIER_BATCH, Side::Consume, false, |_| {
            vec!["--batch".to_owned(), "100".to_owned()]
        }),
    ]
}

/// Fills a topic for those that read.
pub(super) fn fill(program: &Path, typed: bool, task: &Task<'_>) -> Command {
    let mut command = call(program, Side::Produce, task);
    if typed {
        command.arg("--typed");
    }
    command
}

fn call(program: &Path, side: Side, task: &Task<'_>) -> Command {
    let mut command = Command::new(program);
    // No profile: what the others are not told must not be told to this one either.
    command.args(["-b", task.bootstrap, "--profile", "", "-o", "json", "-q"]);
    if side == Side::Produce {
        for property in [
            pair("linger.ms", task.linger_ms),
            pair("compression.type", task.compression),
            pair("batch.size", BATCH_BYTES),
        ] {
            command.arg("-X").arg(property);
        }
    }
    command.args(["bench", side.name(), "--topic", task.topic]);
    if side == Side::Produce {
        let (messages, size) = (task.messages.to_string(), task.size.to_string());
        command.args(["--messages", &messages, "--size", &size]);
    }
    command
}

fn produced(said: &str) -> Result<Told, String> {
    told(said, "acknowledged")
}

fn consumed(said: &str) -> Result<Told, String> {
    told(said, "handled")
}

/// The object of the end.
fn told(said: &str, what: &str) -> Result<Told, String> {
    let line = said.lines().last().unwrap_or_default();
    let result: Value =
        serde_json::from_str(line).map_err(|error| format!("{error} in {line:?}"))?;
    let figures = &result[what];
    let told = figures["messages"].as_u64().zip(figures["seconds"].as_f64());
    let (messages, seconds) = told.ok_or_else(|| format!("no {what} in {line:?}"))?;
    Ok(Told { messages, seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_read_from_the_last_line() {
        let said = "{\"event\":\"window\",\"messages\":1}\n\
            {\"event\":\"result\",\"acknowledged\":{\"messages\":1000,\"seconds\":0.5}}\n";
        assert_eq!(produced(said), Ok(Told { messages: 1_000, seconds: 0.5 }));
        assert!(consumed(said).is_err());
    }
}
