//! A system that has no room for one more command: that says nothing of the command's message, so it waits.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use tokio::time::Instant;

/// What is known of it, in all commands of this process.
#[derive(Debug, Default)]
pub struct Scarcity {
    said: Mutex<Option<Instant>>,
}

const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);
/// While it lasts it is said again so often.
const SAY_EVERY: Duration = Duration::from_secs(30);

impl Scarcity {
    /// Does `attempt` until it is not for lack of room that it fails.
    ///
    /// # Errors
    /// What it fails with then.
    pub async fn outlast<T, F>(&self, mut attempt: impl FnMut() -> F) -> io::Result<T>
    where
        F: Future<Output = io::Result<T>>,
    {
        let mut pause = PAUSE_FIRST;
        loop {
            match attempt().await {
                Err(error) if is_scarcity(&error) => self.say(&error),
                ended => return ended,
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(PAUSE_LONGEST);
        }
    }

    fn say(&self, error: &io::Error) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|last| SAY_EVERY <= last.elapsed()) {
            *said = Some(Instant::now());
            tracing::warn!(
                %error,
                "there is no room for another command; its message waits, and that is no attempt"
            );
        }
    }
}

/// True when there were too many open files or processes, or not enough memory.
fn is_scarcity(error: &io::Error) -> bool {
    let scarce = [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| scarce.iter().any(|it| it.raw_os_error() == code))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_lacks_room_is_tried_until_it_has_some_and_nothing_else_is() {
        let failing = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        for errno in [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM] {
            let tries = Cell::new(0);
            let attempt = || {
                tries.set(tries.get() + 1);
                let ended = if tries.get() < 9 { Err(failing(errno)) } else { Ok(()) };
                async move { ended }
            };
            assert!(Scarcity::default().outlast(attempt).await.is_ok());
            assert_eq!(tries.get(), 9, "{errno}");
        }
        for error in [failing(Errno::NOENT), failing(Errno::TOOBIG), io::Error::other("ending")] {
            let kind = error.kind();
            let mut once = Some(error);
            let attempt = || {
                let error = once.take().unwrap_or_else(|| io::Error::other("tried again"));
                async move { Err::<(), _>(error) }
            };
            let ended = Scarcity::default().outlast(attempt).await;
            assert_eq!(ended.map_err(|error| error.kind()), Err(kind));
        }
    }
}
