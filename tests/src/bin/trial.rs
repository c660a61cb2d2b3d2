//! The full trial, and its table of results in `tests/results/`:
//!
//! ```text
//! cargo build && cargo run -p kurier-tests --bin trial -- [--cluster embedded|apache-kafka] [--only CASE,…]
//! ```
//!
//! Runs every case, or those named, one after the other. On Apache Kafka the jars are in the folder
//! `KURIER_TEST_KAFKA_JARS`. Ends with 1 when a case fails, a control among them that loses nothing.
#![allow(clippy::print_stderr, reason = "a command line tool")]

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use kurier_tests::cluster::{self, Kind};
use kurier_tests::trial::{CASES, Case, Results, Row, Verdict, case, run};

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<ExitCode> {
    let wanted = Wanted::read(std::env::args().skip(1))?;
    let mut bad = Vec::new();
    for (number, case) in wanted.cases.iter().enumerate() {
        let cluster = cluster::of_kind(wanted.kind).await?;
        eprintln!("[{}/{}] {}: {}", number + 1, wanted.cases.len(), case.name, case.fault);
        let row = run(case, &*cluster).await;
        let mut results = Results::open(wanted.kind, &cluster.version())?;
        let path = results.enter(&row)?.display().to_string();
        eprintln!("        {}, in {path}", told(&row));
        if !row.is_good() {
            bad.push(case.name);
        }
    }
    if bad.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("these do not hold: {}", bad.join(", "));
    Ok(ExitCode::FAILURE)
}

/// What the command line asks for.
struct Wanted {
    kind: Kind,
    cases: Vec<&'static Case>,
}

impl Wanted {
    fn read(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut wanted = Self { kind: Kind::Embedded, cases: CASES.iter().collect() };
        while let Some(argument) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{argument} needs a value"))?;
            match argument.as_str() {
                "--cluster" => wanted.kind = value.parse()?,
                "--only" => wanted.cases = value.split(',').map(case).collect::<Result<_, _>>()?,
                other => bail!("{other}: --cluster and --only are possible"),
            }
        }
        Ok(wanted)
    }
}

fn told(row: &Row) -> String {
    let notes = row.notes.join("; ");
    match &row.verdict {
        Verdict::Holds(figures) => format!("holds; {notes}; {figures:?}"),
        Verdict::Fails(figures, broken) => {
            format!("FAILS: {}; {notes}; {figures:?}", broken.join(", "))
        }
        Verdict::Broken(why) => format!("BROKEN: {why}; {notes}"),
        Verdict::NotHere(why) => format!("not run: {why}"),
    }
}
