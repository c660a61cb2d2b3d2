//! What is kept of a run whose judgement does not hold: files under `target/evidence`.

use std::panic::Location;
use std::path::{Path, PathBuf};

use kurier::{Judgement, Ledger};

/// A scenario's name: the test's, which its thread has unless tests run one at a time; then the place
/// that called.
pub(crate) fn scenario(caller: &Location<'_>) -> String {
    let thread = std::thread::current();
    let test = thread.name().filter(|name| name.contains("::"));
    let file = Path::new(caller.file()).file_stem().unwrap_or_default().to_string_lossy();
    test.map_or_else(|| format!("{file}-{}", caller.line()), str::to_owned)
}

/// Writes the evidence into the scenario's folder, which it returns. An earlier run's is overwritten.
pub(crate) fn keep(
    scenario: &str,
    ledger: &Ledger,
    judgement: &Judgement,
) -> anyhow::Result<PathBuf> {
    let cluster = std::env::var("KURIER_TEST_CLUSTER").unwrap_or_else(|_| "embedded".to_owned());
    let name = format!("{scenario}-{cluster}").replace(|it: char| !it.is_alphanumeric(), "-");
    let folder = target()?.join("evidence").join(name);
    ledger.keep(judgement, &folder)?;
    Ok(folder)
}

/// Cargo's target folder, in which this test binary lies; cargo marks it.
fn target() -> anyhow::Result<PathBuf> {
    let mine = std::env::current_exe()?;
    let marked = |folder: &&Path| folder.join("CACHEDIR.TAG").is_file();
    Ok(mine.ancestors().find(marked).unwrap_or(Path::new("target")).to_owned())
}
