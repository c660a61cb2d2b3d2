//! The long run: `cargo run --release -p kurier-fuzz --bin fuzz-requests -- --cases 1000000 --seed 7`.

use std::io::Write as _;
use std::time::Instant;

use clap::Parser;

/// Damaged requests against the embedded cluster, until one does harm.
#[derive(Debug, Parser)]
struct Args {
    /// How many
    #[arg(long, default_value_t = 1_000_000)]
    cases: u64,
    /// Which; the same seed makes the same cases
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let Args { cases, seed } = Args::parse();
    let before = Instant::now();
    let report = kurier_fuzz::run(cases, seed)?;
    let took = before.elapsed();
    writeln!(std::io::stdout(), "{cases} cases of seed {seed} in {took:.1?}\n{report:#?}")?;
    Ok(())
}
