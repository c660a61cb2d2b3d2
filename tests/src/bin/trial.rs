//! The full trial, and its table of results in `tests/results/`:
//!
//! ```text
//! cargo build && cargo run -p kurier-tests --bin trial -- [CASE…]
//! ```
//!
//! Runs every case, or those named, one after the other, on the cluster that `KURIER_TEST_CLUSTER` names.
//! Ends with 1 when a case fails; a control fails when it loses nothing.
#![allow(clippy::print_stderr, reason = "a command line tool")]

use std::process::ExitCode;

use kurier_tests::cluster::cluster;
use kurier_tests::trial::{CASES, Case, Results, Row, Verdict, case, run};

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<ExitCode> {
    let named: Vec<&Case> =
        std::env::args().skip(1).map(|name| case(&name)).collect::<Result<_, _>>()?;
    let wanted = if named.is_empty() { CASES.iter().collect() } else { named };
    let mut bad = Vec::new();
    for (number, case) in (1..).zip(&wanted) {
        let cluster = cluster().await?;
        eprintln!("[{number}/{}] {}: {}", wanted.len(), case.name, case.fault);
        let row = run(case, &*cluster).await;
        let mut results = Results::open(cluster.kind(), &cluster.version())?;
        let path = results.enter(&row)?;
        eprintln!("        {}; now in {}", told(&row), path.display());
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

fn told(row: &Row) -> String {
    let notes = row.notes.join("; ");
    match &row.verdict {
        Verdict::Holds(judgement) => format!("holds: {notes}; {judgement}"),
        Verdict::Fails(judgement, broken) => {
            format!("FAILS: {}; {notes}; {judgement}", broken.join(", "))
        }
        Verdict::Broken(why) => format!("BROKEN: {why}; {notes}"),
        Verdict::NotHere(why) => format!("not run: {why}"),
    }
}
