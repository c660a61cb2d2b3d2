//! One command from its start to its end: what it is fed, what it says, and how long it may take.

use std::convert::Infallible;
use std::fs::File;
use std::future::pending;
use std::io::{self, Read as _, Write as _};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::children::{Children, GRACE, Group};
use super::talk::Talk;

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub how: How,
    /// The beginning of the last line it has said, or nothing.
    pub last: String,
}

/// Whether it ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Exited(ExitStatus),
    /// Its time was over.
    Overtime,
    /// Nobody waited for it any more.
    Abandoned,
}

/// Runs `command` with `body` on its standard input, for at most `limit`. Both its outputs go through
/// `talk` to our standard error, in the order in which they were written. When this returns, it has ended,
/// and so has what it had started, unless that has left its process group.
///
/// # Errors
/// When it can't be started.
///
/// # Cancel safety
/// When it is dropped, the command is asked to end, and killed after [`GRACE`], by a task of `children`.
pub async fn run(
    children: &Arc<Children>,
    mut command: Command,
    body: Bytes,
    talk: Talk,
    limit: Duration,
) -> io::Result<Ended> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer);
    let output = pipe::Receiver::from_owned_fd(reader.into())?;
    let (child, group) = children.start(&mut command)?;
    // Its ends of the pipe are now the command's alone.
    drop(command);
    let (answer, answered) = oneshot::channel();
    let running = Running { child, group, output, talk };
    children.attend(running.attend(Arc::clone(children), body, limit, answer));
    answered.await.map_err(|_| io::Error::other("whoever attended to the command is gone"))
}

struct Running {
    child: Child,
    group: Group,
    output: pipe::Receiver,
    talk: Talk,
}

impl Running {
    async fn attend(
        self,
        children: Arc<Children>,
        body: Bytes,
        limit: Duration,
        mut answer: oneshot::Sender<Ended>,
    ) {
        let Self { mut child, group, mut output, mut talk } = self;
        let stdin = child.stdin.take();
        let feeding = async {
            if let Some(mut stdin) = stdin {
                // Whether a command reads is its own affair: it says by its exit code what came of it.
                let _ = stdin.write_all(&body).await;
            }
        };
        let traffic = async {
            tokio::join!(feeding, listen(&mut output, &mut talk));
            // A command that has closed its output has not ended.
            pending::<Infallible>().await
        };
        let unwanted = async {
            tokio::select! {
                () = answer.closed() => {}
                () = children.ending().cancelled() => {}
            }
        };
        let (how, deadline) = tokio::select! {
            biased;
            ended = watch(&mut child, &group, limit, unwanted) => ended,
            never = traffic => match never {},
        };
        group.end(deadline).await;
        say(&rest(output, &mut talk));
        say(&talk.end());
        if how == How::Abandoned {
            tracing::warn!(at = talk.place(), "its command was ended; it is not handled");
        }
        // Nobody may want to know any more.
        let _ = answer.send(Ended { how, last: talk.last().to_owned() });
    }
}

/// Waits for the end of the command, or makes an end of it. What it has started has until the time that is
/// returned.
async fn watch(
    child: &mut Child,
    group: &Group,
    limit: Duration,
    unwanted: impl Future<Output = ()>,
) -> (How, Instant) {
    let how = tokio::select! {
        biased;
        ended = child.wait() => match ended {
            Ok(status) => {
                group.ask_to_end();
                return (How::Exited(status), Instant::now() + GRACE);
            }
            // It is nobody's child any more. There is no status to tell that it has done its work.
            Err(_) => How::Abandoned,
        },
        () = tokio::time::sleep(limit) => How::Overtime,
        () = unwanted => How::Abandoned,
    };
    group.ask_to_end();
    let deadline = Instant::now() + GRACE;
    if tokio::time::timeout_at(deadline, child.wait()).await.is_err() {
        group.kill();
        // Killed, it ends; if waiting for that fails, there is nothing to wait for.
        let _ = child.wait().await;
    }
    (how, deadline)
}

/// Passes on what the command says, until it has closed its output.
async fn listen(output: &mut pipe::Receiver, talk: &mut Talk) {
    let mut read = vec![0; READ_BYTES];
    while let Ok(length @ 1..) = output.read(&mut read).await {
        say(&talk.take(&read[..length]));
    }
}

const READ_BYTES: usize = 8 * 1024;
/// What is still read after the end, of a pipe that something outside of the process group may go on
/// writing to; the pipe itself holds 64 KiB.
const REST_BYTES_MAX: usize = 1 << 20;

/// What the command had said before its end and nobody has read yet: it lies in the pipe.
fn rest(output: pipe::Receiver, talk: &mut Talk) -> Vec<u8> {
    let mut said = Vec::new();
    let Ok(pipe) = output.into_nonblocking_fd() else { return said };
    let (mut pipe, mut read, mut total) = (File::from(pipe), vec![0; READ_BYTES], 0);
    while let Ok(length @ 1..) = pipe.read(&mut read) {
        said.extend(talk.take(&read[..length]));
        total += length;
        if REST_BYTES_MAX <= total {
            break;
        }
    }
    said
}

fn say(lines: &[u8]) {
    if !lines.is_empty() {
        // There is nowhere left to say that standard error can't be written.
        let _ = io::stderr().lock().write_all(lines);
    }
}
