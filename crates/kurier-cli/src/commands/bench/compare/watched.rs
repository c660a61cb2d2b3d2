//! A tool's process: run to its end, with what it says, how long it takes, and what it costs.

use std::process::Command;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;

use super::super::cost::Cost;

/// What a process that ended well said and took.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ended {
    pub(super) said: String,
    pub(super) seconds: f64,
    /// As of the last look, [`LOOK_EVERY`] before the end at most.
    pub(super) cost: Cost,
}

/// Time between two looks at what it costs.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Nothing takes longer than this, unless it hangs.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// Runs it. Dropped before its end, the process is killed.
///
/// # Errors
/// That it could not be started, failed, or did not end, in words.
pub(super) async fn run(command: Command) -> Result<Ended, String> {
    let mut command = tokio::process::Command::from(command);
    command.stdin(std::process::Stdio::null()).kill_on_drop(true);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("not started: {error}"))?;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let read = async |stream: Option<&mut (dyn tokio::io::AsyncRead + Unpin + Send)>| {
        let mut text = Vec::new();
        if let Some(stream) = stream {
            // What was read until an error is better than nothing.
            let _ = stream.read_to_end(&mut text).await;
        }
        String::from_utf8_lossy(&text).into_owned()
    };
    let pid = child.id();
    let mut cost = Cost::default();
    let watched = async {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                status = child.wait() => return (status, begun.elapsed()),
                _ = looks.tick() => {
                    cost = pid.map_or(cost, |pid| Cost::of_process(pid).or_before(cost));
                }
            }
        }
    };
    let all = async {
        tokio::join!(
            watched,
            read(out.as_mut().map(|it| it as _)),
            read(err.as_mut().map(|it| it as _))
        )
    };
    let ended = tokio::time::timeout(LONGEST, all).await;
    let ((status, took), said, complaint) =
        ended.map_err(|_| format!("did not end within {LONGEST:?}"))?;
    let status = status.map_err(|error| error.to_string())?;
    if !status.success() {
        let last: Vec<&str> = complaint.lines().rev().take(3).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        return Err(format!("{status}: {}", last.join("; ")));
    }
    Ok(Ended { said, seconds: took.as_secs_f64(), cost })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_process_said_is_kept_and_how_it_failed_is_told() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let ended = run(shell("echo one; echo two")).await.expect("ends well");
        assert_eq!(ended.said, "one\ntwo\n");
        let failed = run(shell("echo why >&2; exit 3")).await.expect_err("fails");
        assert!(failed.contains('3') && failed.contains("why"), "{failed}");
        let missing = run(Command::new("/no/such/program")).await.expect_err("is not there");
        assert!(missing.starts_with("not started"), "{missing}");
    }
}
