//! The lines that `produce` reads: of files, of standard input, or made as samples; each knows where it
//! comes from.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::args::{Input, ProduceArgs, Sample};
use crate::exit::UsageError;

/// Lines in chunks, none of them empty; an error is that of one file, and the others go on.
pub(super) struct Lines {
    pub(super) chunks: mpsc::Receiver<io::Result<Vec<Line>>>,
    /// None for samples.
    pub(super) files: Vec<PathBuf>,
    pub(super) at: Arc<At>,
}

/// Where the reading is: what is before was handed on.
#[derive(Default)]
pub(super) struct At {
    /// Which of the files.
    pub(super) file: AtomicUsize,
    /// The first line of the chunk that comes next.
    pub(super) line: AtomicU64,
}

/// A line with where it comes from.
pub(super) struct Line {
    pub(super) file: Arc<str>,
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
    /// It went on beyond [`LINE_BYTES_MAX`]; `bytes` is its beginning.
    pub(super) cut: bool,
}

/// Chunks of lines read ahead.
const AHEAD: usize = 8;
/// Lines in a chunk.
const CHUNK_LINES: usize = 256;
/// Bytes read at once; a chunk holds no more, but for one long line.
const READ_BYTES: usize = 128 * 1024;
/// A longer line cannot be a message: the limit of one is 1,000,000 bytes.
pub(super) const LINE_BYTES_MAX: u64 = 4 << 20;

/// Lines of the files, of standard input, or samples, read ahead on a thread of their own.
pub(super) fn source(args: &ProduceArgs) -> Lines {
    let (chunks, lines) = mpsc::channel(AHEAD);
    let (sample, input, at) = (args.sample, args.input, Arc::default());
    let files = match (sample, &args.files[..]) {
        (None, []) => vec![PathBuf::from("-")],
        (_, files) => files.to_vec(),
    };
    let lines = Lines { chunks: lines, files: files.clone(), at: Arc::clone(&at) };
    let out = Out { chunks, at };
    // Ends with the input, or when nobody takes its lines; a read of a terminal ends with the process.
    tokio::task::spawn_blocking(move || match sample {
        Some(Sample::Count(count)) => samples(count, &out),
        Some(Sample::Endless) => samples(u64::MAX, &out),
        None => {
            for (index, file) in files.iter().enumerate() {
                out.opens(index);
                read_file(file, input, &out);
            }
        }
    });
    lines
}

/// Whether all files are there: a name that is wrong is told before anything is sent.
///
/// # Errors
/// Which one can't be read, and why.
pub(super) fn check(files: &[PathBuf]) -> Result<(), UsageError> {
    for file in files.iter().filter(|file| *file != Path::new("-")) {
        let wrong = |reason: String| {
            UsageError(format!("the input {}: {reason}; nothing was sent", file.display()))
        };
        let kind = std::fs::metadata(file).map_err(|error| wrong(error.to_string()))?;
        if kind.is_dir() {
            return Err(wrong("it is a folder".to_owned()));
        }
        // To open a pipe is to wait for its writer.
        if kind.is_file() {
            File::open(file).map_err(|error| wrong(error.to_string()))?;
        }
    }
    Ok(())
}

/// The other end of [`Lines`].
struct Out {
    chunks: mpsc::Sender<io::Result<Vec<Line>>>,
    at: Arc<At>,
}

impl Out {
    fn opens(&self, file: usize) {
        self.at.file.store(file, Ordering::Relaxed);
        self.at.line.store(1, Ordering::Relaxed);
    }

    /// A chunk begins with this line.
    fn begins(&self, line: u64) {
        self.at.line.store(line, Ordering::Relaxed);
    }

    /// False when nobody takes it, which is only when the command is ending.
    fn send(&self, chunk: io::Result<Vec<Line>>) -> bool {
        self.chunks.blocking_send(chunk).is_ok()
    }
}

fn samples(count: u64, out: &Out) {
    let file: Arc<str> = "sample".into();
    let mut numbers = 1..=count;
    loop {
        out.begins(*numbers.start());
        let line = |number| {
            let bytes = format!("Test message {number}").into_bytes();
            Line { file: Arc::clone(&file), number, bytes, cut: false }
        };
        let chunk: Vec<Line> = numbers.by_ref().take(CHUNK_LINES).map(line).collect();
        if chunk.is_empty() || !out.send(Ok(chunk)) {
            return;
        }
    }
}

fn read_file(path: &Path, input: Input, out: &Out) {
    let name: Arc<str> = path.display().to_string().into();
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
    let read = || -> io::Result<()> {
        if path == Path::new("-") {
            return read_lines(io::stdin(), input, &name, out);
        }
        read_lines(File::open(path)?, input, &name, out)
    };
    if let Err(error) = read() {
        out.send(Err(failed(error)));
    }
}

/// Hands lines on in chunks: whatever whole lines one read gave, so that a slow writer's line goes out
/// at once. Empty lines are no messages.
fn read_lines(from: impl Read, input: Input, name: &Arc<str>, out: &Out) -> io::Result<()> {
    let mut from = BufReader::with_capacity(READ_BYTES, from);
    let mut chunk = Vec::new();
    let mut ended = Ok(());
    for number in 1.. {
        if chunk.is_empty() {
            out.begins(number);
        }
        match read_line(&mut from, input) {
            Ok(None) => break,
            Ok(Some((bytes, _))) if bytes.is_empty() => {}
            Ok(Some((bytes, cut))) => {
                chunk.push(Line { file: Arc::clone(name), number, bytes, cut });
            }
            Err(error) => {
                ended = Err(error);
                break;
            }
        }
        let waits = !from.buffer().contains(&b'\n');
        if (waits || chunk.len() == CHUNK_LINES)
            && !chunk.is_empty()
            && !out.send(Ok(std::mem::take(&mut chunk)))
        {
            return Ok(());
        }
    }
    if !chunk.is_empty() {
        out.send(Ok(chunk));
    }
    ended
}

/// One line without its end, and whether it was cut short; `None` after the last. Of raw bytes only the
/// line feed is an end.
fn read_line(from: &mut impl BufRead, input: Input) -> io::Result<Option<(Vec<u8>, bool)>> {
    let mut bytes = Vec::new();
    if from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        bytes.pop_if(|last| *last == b'\r' && input != Input::Raw);
    } else if bytes.len() as u64 == LINE_BYTES_MAX {
        from.skip_until(b'\n')?;
        return Ok(Some((bytes, true)));
    }
    Ok(Some((bytes, false)))
}
