//! The table of results, kept in the project: made from verdicts, never by hand.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use kurier::{Judgement, OffenceKind};

use super::verdict::{Row, Verdict};
use super::{CASES, Fault};
use crate::cluster::Kind;

/// The table of one kind of cluster, a file in `tests/results/`. A line stays until its case is tried
/// again.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    kind: Kind,
    /// What everything in it was made with.
    versions: String,
    lines: Vec<String>,
}

const HEAD: &str = "\
| case | fault | consumers | producers | when (UTC) | versions | accepted | acknowledged | failed | lost \
| corrupt | unhandled | committed ahead | commits seen | out of order | skipped | written again \
| handled again | longest stall of acks | of handling | took | seen | result |
|---|---|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|---|
";

impl Results {
    /// The table for clusters of this kind, whose version is `cluster`, with the lines it has.
    ///
    /// # Errors
    /// When there is a file and it can't be read.
    pub fn open(kind: Kind, cluster: &str) -> io::Result<Self> {
        let name = match kind {
            Kind::Embedded => "embedded.md",
            Kind::ApacheKafka => "apache-kafka.md",
        };
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("results").join(name);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let lines = text.lines().filter(|line| case_of(line).is_some()).map(str::to_owned);
        let versions = format!("{cluster}, kurier {}, librdkafka {}", commit(), librdkafka());
        Ok(Self { path, kind, versions, lines: lines.collect() })
    }

    /// Enters a row, in the place of the one there was for this case, and writes the file.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn enter(&mut self, row: &Row) -> io::Result<&Path> {
        self.lines.retain(|line| case_of(line) != Some(row.case.name));
        self.lines.push(self.line(row));
        let place = |line: &String| CASES.iter().position(|it| Some(it.name) == case_of(line));
        self.lines.sort_by_key(place);
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&self.path, self.text())?;
        Ok(&self.path)
    }

    fn text(&self) -> String {
        let mut text = format!(
            "# The full trial on {}\n\nWritten by `cargo run -p kurier-tests --bin trial`, from verdicts. \
             Two producers at 1,000 messages a second together, 6 partitions with 3 replicas \
             (`min.insync.replicas=2`), a group of 3. Required of each but the control: nothing lost, \
             corrupt, unhandled, committed ahead of its handler, out of order or skipped, and no message given \
             up by the default profile. The classic profile \
             may fail messages after its five retries; then their order is reported, not required. Nor is \
             it required where the number of partitions changes, which moves keys.\n\n{HEAD}",
            match self.kind {
                Kind::Embedded => "the embedded cluster",
                Kind::ApacheKafka => "three nodes of Apache Kafka",
            },
        );
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        let tried: Vec<_> = self.lines.iter().filter_map(|line| case_of(line)).collect();
        let names = CASES.iter().map(|case| case.name);
        let missing: Vec<_> = names.filter(|name| !tried.contains(name)).collect();
        if !missing.is_empty() {
            // Writing to a string never fails.
            let _ = write!(text, "\nNot tried yet: {}.\n", missing.join(", "));
        }
        text
    }

    fn line(&self, row: &Row) -> String {
        let (judgement, result) = match &row.verdict {
            Verdict::Holds(judgement) if row.case.is_control() => {
                (Some(judgement), "**loses, as it must**".into())
            }
            Verdict::Holds(judgement) => (Some(judgement), "**holds**".into()),
            Verdict::Fails(judgement, broken) => {
                (Some(judgement), format!("**FAILS**: {}", broken.join(", ")))
            }
            Verdict::Broken(why) => (None, format!("**BROKEN**: {}", one_line(why))),
            Verdict::NotHere(why) => (None, format!("not run: {why}")),
        };
        let mut line = format!("| {} | {} ", row.case.name, row.case.fault);
        if row.case.fault == Fault::Careless {
            line.push_str("| none | one, `acks=1` ");
        } else {
            let ((kind, home), (profile, from)) = (row.case.members, row.case.senders);
            // Writing to a string never fails.
            let _ = write!(line, "| {kind:?}, {home:?} | {profile:?}, {from:?} ");
        }
        let _ = write!(line, "| {} | {} ", now(), self.versions);
        line.push_str(&judgement.map_or_else(|| "| ".repeat(NUMBERS), numbers));
        let _ = write!(
            line,
            "| {:.0} s | {} | {result} |",
            row.took.as_secs_f64(),
            one_line(&row.notes.join("; "))
        );
        line
    }
}

/// The cells of figures.
const NUMBERS: usize = 14;

fn numbers(judgement: &Judgement) -> String {
    let commits: u64 = judgement.groups.iter().map(|group| group.commits).sum();
    let counts = [
        judgement.accepted,
        judgement.delivered,
        judgement.failed,
        judgement.lost(),
        judgement.corrupt,
        judgement.unhandled(),
        judgement.commits_ahead(),
        commits,
        judgement.order_violations(),
        judgement.count(OffenceKind::Skipped),
        judgement.count(OffenceKind::WrittenAgain),
        judgement.count(OffenceKind::HandledAgain),
    ];
    let handling = judgement.groups.iter().map(|group| group.longest_stall).max();
    let stalls = [judgement.longest_stall, handling.unwrap_or_default()];
    debug_assert_eq!(counts.len() + stalls.len(), NUMBERS);
    let counts = counts.iter().map(|count| format!("| {count} "));
    let stalls = stalls.iter().map(|stall| format!("| {:.1} s ", stall.as_secs_f64()));
    counts.chain(stalls).collect()
}

/// The name in the first cell of a line of the table.
fn case_of(line: &str) -> Option<&str> {
    let name = line.strip_prefix("| ")?.split(" |").next()?;
    CASES.iter().map(|case| case.name).find(|known| *known == name)
}

/// Text that fits a cell.
fn one_line(text: &str) -> String {
    let short: String = text.chars().take(300).collect();
    short.replace('\n', " ").replace('|', "/")
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M").to_string()
}

fn librdkafka() -> String {
    rdkafka::util::get_rdkafka_version().1
}

/// The version and the commit that is tried, and whether more than the results differs from it.
fn commit() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else {
        return version.to_owned();
    };
    let changed = git(&["status", "--porcelain", "-uno", "--", ":/", ":!/tests/results"]);
    let changed = if changed.is_none_or(|it| it.is_empty()) { "" } else { " and changes" };
    format!("{version} ({commit}{changed})")
}

/// What git says; None where there is no git to ask.
fn git(question: &[&str]) -> Option<String> {
    let asked = std::process::Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR")])
        .args(question)
        .output();
    let said = asked.ok().filter(|it| it.status.success())?;
    Some(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn row(name: &str, verdict: Verdict) -> Row {
        let case = super::super::case(name).expect("it is in the table");
        let took = Duration::from_secs(61);
        Row { case, kind: Kind::Embedded, took, notes: vec!["node 2 hit".into()], verdict }
    }

    fn results(folder: &Path) -> Results {
        let (path, versions) = (folder.join("new").join("table.md"), "test".to_owned());
        Results { path, kind: Kind::Embedded, versions, lines: Vec::new() }
    }

    #[test]
    fn a_case_that_is_tried_again_replaces_its_line_and_lines_keep_the_order_of_the_cases() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut results = results(folder.path());
        let mut judgement = kurier::Ledger::new(["workers"]).judge(Duration::ZERO);
        let failed = Verdict::Fails(judgement.clone(), vec!["7 lost".into()]);
        judgement.delivered = 5_001;
        results.enter(&row("kill-leader", failed)).expect("written");
        results.enter(&row("stop-leader", Verdict::NotHere("why"))).expect("written");
        results.enter(&row("kill-leader", Verdict::Holds(judgement))).expect("written");
        let text = fs::read_to_string(&results.path).expect("it is there");
        assert!(text.contains("Not tried yet: stop-controller, "), "{text}");
        let lines: Vec<_> = text.lines().filter(|line| case_of(line).is_some()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].contains("stop-leader") && lines[0].contains("not run: why"), "{text}");
        assert!(lines[1].contains("**holds**") && lines[1].contains("| 5001 |"), "{text}");
        let columns = HEAD.lines().next().expect("a head").matches('|').count();
        assert!(lines.iter().all(|line| line.matches('|').count() == columns), "{text}");
    }

    #[test]
    fn what_went_wrong_stays_one_cell() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut results = results(folder.path());
        let broken = Verdict::Broken(format!("a | b\nc {}", "x".repeat(10_000)));
        results.enter(&row("two-down", broken)).expect("written");
        assert!(results.lines[0].contains("**BROKEN**: a / b c xxx"), "{:?}", results.lines);
        assert!(results.lines[0].len() < 1_000, "{:?}", results.lines);
    }
}
