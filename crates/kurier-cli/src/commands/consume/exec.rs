//! `--exec`: a command for each message, or each batch; its exit code is the answer.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::Duration;

use kurier::Failure;
use tokio::process::Command;

use super::children::Children;
use super::command::{self, Ended, How};
use super::errand::{Carrier, Errand};
use super::scarcity::Scarcity;
use super::talk::Talk;
use crate::args::LogFormat;

/// The exit code that says that trying again is of no use: EX_DATAERR of sysexits.h.
const REJECT: i32 = 65;

/// Linux takes 128 KiB for one variable; half of that is left for base64.
const ENVIRONMENT: Carrier =
    Carrier { takes: |text| !text.contains('\0'), key_bytes_max: 32 * 1024 };

/// Runs the command.
#[derive(Debug)]
pub struct Exec {
    /// What the shell is given.
    pub script: String,
    /// How long one run may take.
    pub limit: Duration,
    /// Variables that it does not inherit.
    pub withheld: Vec<OsString>,
    /// How what it says is passed on.
    pub format: LogFormat,
    pub children: Arc<Children>,
    pub scarcity: Scarcity,
}

impl Exec {
    /// Runs it once, as soon as the system has room for it.
    ///
    /// # Errors
    /// When it did not handle the message.
    ///
    /// # Cancel safety
    /// When it is dropped, the command is ended.
    pub async fn handle(&self, errand: Errand) -> Result<(), Failure> {
        let run = || {
            let talk = Talk::new(&errand.place, self.format);
            let body = errand.body.clone();
            command::run(&self.children, self.command(&errand), body, talk, self.limit)
        };
        let ended = self.scarcity.outlast(run).await;
        let ended = ended.map_err(|error| format!("the command can't be run: {error}"))?;
        judge(&ended, self.limit)
    }

    fn command(&self, errand: &Errand) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(&self.script);
        for name in &self.withheld {
            command.env_remove(name);
        }
        for (name, text) in errand.facts(&ENVIRONMENT) {
            command.env(format!("KURIER_MSG_{name}"), text);
        }
        for (name, text) in &errand.trace {
            command.env(name.to_ascii_uppercase(), text);
        }
        command
    }
}

fn judge(ended: &Ended, limit: Duration) -> Result<(), Failure> {
    let said = |what: String| match ended.last.as_str() {
        "" => what,
        last => format!("{what}: {last}"),
    };
    match ended.how {
        How::Exited(status) => match (status.code(), status.signal()) {
            (Some(0), _) => Ok(()),
            (Some(REJECT), _) => Err(Failure::reject(said(format!("exit code {REJECT}")))),
            (Some(code), _) => Err(Failure::retry(said(format!("exit code {code}")))),
            (None, signal) => {
                let signal = signal.unwrap_or_default();
                Err(Failure::retry(said(format!("ended by signal {signal}"))))
            }
        },
        How::Overtime => Err(Failure::retry(said(format!("not ended within {limit:?}")))),
        How::Abandoned => Err(Failure::retry("ended before it was done")),
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn the_exit_code_is_the_answer() {
        const LIMIT: Duration = Duration::from_millis(1_500);
        let exited = |raw| How::Exited(ExitStatus::from_raw(raw));
        let table = [
            (exited(0), "", "handled"),
            (exited(0), "warning", "handled"),
            (exited(65 << 8), "no such customer", "rejected: exit code 65: no such customer"),
            (exited(1 << 8), "", "exit code 1"),
            (exited(127 << 8), "sh: 1: foo: not found", "exit code 127: sh: 1: foo: not found"),
            (exited(137 << 8), "", "exit code 137"),
            (exited(9), "", "ended by signal 9"),
            (How::Overtime, "step 2", "not ended within 1.5s: step 2"),
            (How::Abandoned, "", "ended before it was done"),
        ];
        for (how, last, expected) in table {
            let answer = judge(&Ended { how, last: last.to_owned() }, LIMIT);
            let is_rejected = matches!(answer, Err(Failure::Reject { .. }));
            assert_eq!(is_rejected, expected.starts_with("rejected"), "{how:?}");
            let told = answer.map_or_else(|failure| failure.to_string(), |()| "handled".to_owned());
            assert_eq!(told, expected);
        }
    }
}
