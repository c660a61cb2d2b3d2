//! How a run is told: a line or an object every few seconds, and in the end one with all there is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::figures::Window;
use super::host;
use crate::args::{Global, Output, ReportArgs};
use crate::output;

/// Where figures go.
#[derive(Debug)]
pub(super) struct Report {
    form: Output,
    every: Duration,
    /// Of `--out`.
    files: Option<Files>,
    /// When the run began.
    began: Timestamp,
}

#[derive(Debug)]
struct Files {
    windows: File,
    result: PathBuf,
}

impl Report {
    /// As the arguments say. What is in the folder from an earlier run is replaced.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub(super) fn new(args: &ReportArgs, global: &Global) -> anyhow::Result<Self> {
        let files = args.out.as_deref().map(|folder| -> anyhow::Result<Files> {
            let result = result_file(folder)?;
            let path = folder.join("windows.ndjson");
            let windows = File::create(&path).with_context(|| path.display().to_string())?;
            Ok(Files { windows, result })
        });
        Ok(Self {
            form: global.output,
            every: args.every.max(Duration::from_millis(10)),
            files: files.transpose()?,
            began: Timestamp::now(),
        })
    }

    /// When the run began.
    pub(super) fn began(&self) -> Timestamp {
        self.began
    }

    /// Ends windows as long as it is not told to stop: `window` gives what was measured since its last
    /// call, and `line` what people read of it, if anything.
    pub(super) fn tick(
        self,
        window: impl Fn() -> Option<Window> + Send + 'static,
        line: fn(&Window) -> String,
    ) -> Ticking {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut report = self;
            let mut ticks = tokio::time::interval(report.every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first one comes at once.
            ticks.tick().await;
            loop {
                let over = tokio::select! {
                    _ = ticks.tick() => false,
                    () = stopped.cancelled() => true,
                };
                if let Some(window) = window() {
                    report.window(&window, line)?;
                }
                if over {
                    return Ok(report);
                }
            }
        });
        Ticking { stop, task }
    }

    fn window(&mut self, window: &Window, line: fn(&Window) -> String) -> io::Result<()> {
        let mut object = json!(window);
        object["event"] = "window".into();
        if let Some(files) = &mut self.files {
            writeln!(files.windows, "{object}")?;
        }
        // Whoever reads may have had enough: the figures are made all the same.
        output::unless_unread(match self.form {
            Output::Json => output::json(&object),
            Output::Table => output::text(&(line(window) + "\n")),
        })
    }

    /// Tells the end: `result`, what is common to all, and for people the `last` lines instead.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn end(self, result: Value, last: &str) -> anyhow::Result<()> {
        let mut whole = common(self.began);
        if let (Some(whole), Value::Object(result)) = (whole.as_object_mut(), result) {
            whole.extend(result);
        }
        if let Some(Files { result, .. }) = &self.files {
            write_result(result, &whole)?;
        }
        output::unless_unread(match self.form {
            Output::Json => output::json(&whole),
            Output::Table => output::text(&format!("{last}\n")),
        })?;
        Ok(())
    }
}

/// Windows that are told while a run goes on.
pub(super) struct Ticking {
    stop: CancellationToken,
    task: JoinHandle<io::Result<Report>>,
}

impl Ticking {
    /// Tells the last window.
    ///
    /// # Errors
    /// When one could not be written.
    pub(super) async fn stop(self) -> anyhow::Result<Report> {
        self.stop.cancel();
        Ok(self.task.await??)
    }
}

/// `result.json` in a folder, which is made.
pub(super) fn result_file(folder: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("--out {}", folder.display()))?;
    Ok(folder.join("result.json"))
}

/// Writes it, for people too.
pub(super) fn write_result(path: &Path, result: &Value) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(result)? + "\n";
    fs::write(path, text).with_context(|| path.display().to_string())?;
    tracing::info!("written: {}", path.display());
    Ok(())
}

/// What every result says: when, on what, with which versions.
pub(super) fn common(began: Timestamp) -> Value {
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    json!({
        "event": "result", "began": began.to_string(), "host": host::described(),
        "kurier": env!("CARGO_PKG_VERSION"), "librdkafka": librdkafka,
    })
}
