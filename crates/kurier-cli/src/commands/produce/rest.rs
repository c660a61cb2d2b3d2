//! What of the input nobody took, when the end came first.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Place;
use super::input::Lines;

impl Lines {
    /// The first line that nobody took; `failed` hears of each file before it that could not be read.
    ///
    /// Nothing read ahead is not the end. Of a pipe or a terminal that has nothing at hand nobody knows of a
    /// line, so that none is left there; a file, and one that was not reached, is there to its end.
    pub(super) async fn left(&mut self, mut failed: impl FnMut(&io::Error)) -> Option<Place> {
        loop {
            let limit = if self.is_waiting() { AT_HAND } else { FROM_DISK };
            match tokio::time::timeout(limit, self.chunks.recv()).await {
                Ok(Some(Ok(chunk))) => {
                    return chunk.into_iter().next().map(|line| (line.file, line.number));
                }
                Ok(Some(Err(error))) => failed(&error),
                Ok(None) => return None,
                Err(_) => return self.unread(),
            }
        }
    }

    /// True while what is read may wait for whoever writes it.
    fn is_waiting(&self) -> bool {
        self.files.get(self.at.file.load(Ordering::Relaxed)).is_some_and(|file| may_wait(file))
    }

    /// The first line that was not even read.
    fn unread(&self) -> Option<Place> {
        let at = self.at.file.load(Ordering::Relaxed);
        let line = self.at.line.load(Ordering::Relaxed);
        match self.files.get(at) {
            None => Some(("sample".into(), line)),
            Some(file) if !may_wait(file) => Some((named(file), line)),
            Some(_) => {
                let mut later = self.files[at + 1..].iter();
                later.find(|file| has_lines(file)).map(|file| (named(file), 1))
            }
        }
    }
}

/// What a pipe holds is read within this.
const AT_HAND: Duration = Duration::from_millis(100);
/// What a file holds is read within this, unless its disk hangs.
const FROM_DISK: Duration = Duration::from_secs(1);

/// A file that can't be asked was one in the beginning.
fn may_wait(file: &Path) -> bool {
    metadata(file).is_ok_and(|found| !found.is_file())
}

fn has_lines(file: &Path) -> bool {
    metadata(file).map_or(true, |found| found.is_file() && 0 < found.len())
}

fn metadata(file: &Path) -> io::Result<Metadata> {
    if file == Path::new("-") {
        return File::from(io::stdin().as_fd().try_clone_to_owned()?).metadata();
    }
    fs::metadata(file)
}

fn named(file: &Path) -> Arc<str> {
    file.display().to_string().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};
    use crate::commands::produce::input::source;

    /// What is left of such files once `taken` chunks were taken, and how many could not be read.
    async fn left(files: &[&Path], taken: usize) -> (Option<Place>, usize) {
        let words = ["kurier", "produce", "t"].map(Into::into).into_iter();
        let files = files.iter().map(|file| file.as_os_str().to_owned());
        let Command::Produce(args) = Cli::parse_from(words.chain(files)).command else {
            unreachable!("it is one");
        };
        let (mut lines, mut failed) = (source(&args), 0);
        for _ in 0..taken {
            lines.chunks.recv().await.unwrap().unwrap();
        }
        (lines.left(|_| failed += 1).await, failed)
    }

    #[tokio::test]
    async fn a_file_that_can_t_be_read_hides_no_line_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let [first, gone, last] = ["first", "gone", "last"].map(|name| folder.path().join(name));
        fs::write(&first, "1\n").unwrap();
        fs::write(&last, "\n2\n").unwrap();
        let at = |file: &Path, line| Some((named(file), line));
        assert_eq!(left(&[&first, &gone, &last], 0).await, (at(&first, 1), 0));
        assert_eq!(left(&[&first, &gone, &last], 1).await, (at(&last, 2), 1));
        assert_eq!(left(&[&first, &gone], 1).await, (None, 1));
    }
}
