//! kurier's own binary as a process that can be killed.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::PATIENCE;
use crate::process::{self, Signal};

/// A running `kurier`, and the JSON lines it has printed so far.
#[derive(Debug)]
pub struct Kurier {
    child: Child,
    lines: Lines,
    readers: Vec<JoinHandle<()>>,
    talk: Arc<Mutex<String>>,
}

impl Kurier {
    /// Starts `kurier -b BOOTSTRAP -o json ARGS…` with nothing on its standard input, and keeps what it
    /// prints.
    ///
    /// # Errors
    /// When there is no binary: `cargo build` makes it, `cargo test --workspace` does so on the way.
    pub fn start(bootstrap: &str, args: &[&str]) -> anyhow::Result<Self> {
        let lines = Lines::default();
        let seen = Arc::clone(&lines);
        let keep = move |line| lock(&seen).push(line);
        Self::spawn(command(bootstrap, args, Stdio::null())?, lines, keep)
    }

    /// Starts `kurier -b BOOTSTRAP -o json ARGS…`, and tells each line that it prints instead of keeping
    /// it. Its standard input is a pipe: see [`input`](Self::input).
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn telling(
        bootstrap: &str,
        args: &[&str],
        tell: impl FnMut(Value) + Send + 'static,
    ) -> anyhow::Result<Self> {
        Self::spawn(command(bootstrap, args, Stdio::piped())?, Lines::default(), tell)
    }

    fn spawn(
        mut command: Command,
        lines: Lines,
        mut tell: impl FnMut(Value) + Send + 'static,
    ) -> anyhow::Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = process::spawn(command)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let talk = Arc::<Mutex<String>>::default();
        let said = Arc::clone(&talk);
        let out = std::thread::spawn(move || {
            for line in BufReader::new(stdout.expect("it is a pipe")).lines().map_while(Result::ok)
            {
                // A killed process may leave half a line, which nobody was shown.
                if let Ok(value) = serde_json::from_str(&line) {
                    tell(value);
                }
            }
        });
        let err = std::thread::spawn(move || {
            let mut stderr = BufReader::new(stderr.expect("it is a pipe"));
            let mut line = Vec::new();
            while stderr.by_ref().read_until(b'\n', &mut line).is_ok_and(|read| 0 < read) {
                lock(&said).push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Ok(Self { child, lines, readers: vec![out, err], talk })
    }

    /// The other end of its standard input, once; it reads to the end when that is dropped. None where it
    /// was started with nothing to read.
    pub fn input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// What it has printed so far.
    pub fn lines(&self) -> Vec<Value> {
        lock(&self.lines).clone()
    }

    /// What it has said on standard error so far.
    pub fn talk(&self) -> String {
        lock(&self.talk).clone()
    }

    /// Waits until it has printed that many lines.
    ///
    /// # Errors
    /// When it ends before, or takes longer than [`PATIENCE`].
    pub async fn wait_for_lines(&mut self, count: usize) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        while lock(&self.lines).len() < count {
            self.runs()?;
            ensure!(Instant::now() < end, "{count} lines did not come: {}", self.talk());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How much memory it holds: what the system calls its resident set.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_bytes(&self) -> anyhow::Result<usize> {
        self.memory("VmRSS:")
    }

    /// The most that it ever held at once.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_bytes_peak(&self) -> anyhow::Result<usize> {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> anyhow::Result<usize> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).context(path)?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
        Ok(kib.with_context(|| format!("no {name}"))?.trim().parse::<usize>()? * 1024)
    }

    /// That it has not ended.
    ///
    /// # Errors
    /// How it has.
    pub fn runs(&mut self) -> anyhow::Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "kurier ended with {ended:?}: {}", self.talk());
        Ok(())
    }

    /// SIGKILL; returns what it had printed and was kept, when all of it is read.
    ///
    /// # Errors
    /// What the system says.
    pub fn kill(&mut self) -> anyhow::Result<Vec<Value>> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.finish())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// What the system says.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(process::signal(&self.child, signal)?)
    }

    /// SIGTERM, and a second one once it closes: what a person does who does not want to wait.
    ///
    /// # Errors
    /// What the system says; when it does not close within [`PATIENCE`].
    pub async fn hurry(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::Terminate)?;
        let end = Instant::now() + PATIENCE;
        while !self.talk().contains("closing") {
            self.runs()?;
            ensure!(Instant::now() < end, "kurier does not close: {}", self.talk());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // One that follows at once counts as the first.
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.signal(Signal::Terminate)
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Errors
    /// When it does not end within [`PATIENCE`].
    pub async fn stop(self) -> anyhow::Result<Ended> {
        process::signal(&self.child, Signal::Terminate)?;
        self.wait().await
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it does not end within [`PATIENCE`].
    pub async fn wait(mut self) -> anyhow::Result<Ended> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                let lines = self.finish();
                let talk = self.talk();
                return Ok(Ended { status, lines, talk });
            }
            ensure!(Instant::now() < end, "kurier does not end: {}", self.talk());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Reads its pipes to their ends.
    fn finish(&mut self) -> Vec<Value> {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        std::mem::take(&mut *lock(&self.lines))
    }
}

impl Drop for Kurier {
    fn drop(&mut self) {
        // Harmless when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Lines = Arc<Mutex<Vec<Value>>>;

/// How a `kurier` ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Everything it printed.
    pub lines: Vec<Value>,
    /// Everything it said on standard error.
    pub talk: String,
}

fn command(bootstrap: &str, args: &[&str], input: Stdio) -> anyhow::Result<Command> {
    let mut command = Command::new(path()?);
    command.args(["-b", bootstrap, "-o", "json"]).args(args).stdin(input);
    Ok(command)
}

/// The binary, which lies beside the folder of the test binaries.
///
/// # Errors
/// When there is none: `cargo build` makes it.
pub fn path() -> anyhow::Result<PathBuf> {
    let mine = std::env::current_exe()?;
    let profile = mine.ancestors().find(|folder| folder.join("kurier").is_file());
    let folder = profile.context("there is no kurier beside the tests: run `cargo build`")?;
    Ok(folder.join("kurier"))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
