//! Tells what happens in plain lines, with a live line of counters on a terminal.

use std::io::Write;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::witness::Witness;

/// The teller.
#[derive(Debug)]
pub struct Story {
    begun: Instant,
    live: ProgressBar,
    /// Standard output is for the JSON object.
    to_stderr: bool,
}

impl Story {
    /// Begins now. The live line is drawn on standard error, when that is a terminal and it is wanted.
    pub fn new(to_stderr: bool, progress: bool) -> Self {
        let live = if progress { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        // The template is a constant that is right.
        if let Ok(style) = ProgressStyle::with_template("         {msg}") {
            live.set_style(style);
        }
        Self { begun: Instant::now(), live, to_stderr }
    }

    /// One line, with the time since the beginning.
    pub fn tell(&self, line: &str) {
        let line = format!("{:6.1} s  {line}\n", self.begun.elapsed().as_secs_f64());
        self.live.suspend(|| {
            // Nobody is left to tell when the reader has gone; the verdict is still in the exit code.
            let _ = if self.to_stderr {
                std::io::stderr().write_all(line.as_bytes())
            } else {
                std::io::stdout().write_all(line.as_bytes())
            };
        });
    }

    /// The counters as they are.
    pub fn counters(&self, witness: &Witness) {
        if self.live.is_hidden() {
            return;
        }
        let ((accepted, delivered, under_way), handled) = witness.progress();
        self.live.set_message(format!(
            "accepted {accepted}  delivered {delivered}  under way {under_way}  handled {handled}"
        ));
    }

    /// The live line goes.
    pub fn end(&self) {
        self.live.finish_and_clear();
    }
}
