//! `kurier bench`: how fast, measured so that it can be believed.
//!
//! Only acknowledged or handled messages count. Latency is from the time a message was to be sent
//! (`Pace`), not from when it could be. [`figures`], [`lines`], [`payload`], [`sent`] and [`seen`] are
//! pure; [`producing`] and [`handling`] run the clients; [`compare`] runs other people's tools beside.

mod compare;
mod consume;
mod cost;
mod e2e;
mod figures;
mod handling;
mod host;
mod lines;
mod load;
mod meter;
mod payload;
mod place;
mod produce;
mod producing;
mod report;
mod seen;
mod sent;

use crate::args::{BenchCommand, Global};
use crate::exit::Exit;
use crate::signals::Signals;

/// Runs one of the commands.
///
/// # Errors
/// When the configuration is not right, or the cluster refuses.
pub async fn run(
    command: BenchCommand,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    match command {
        BenchCommand::Produce(args) => produce::run(&args, global, signals).await,
        BenchCommand::Consume(args) => consume::run(&args, global, signals).await,
        BenchCommand::E2e(args) => e2e::run(&args, global, signals).await,
        BenchCommand::Compare(args) => compare::run(&args, global, signals).await,
    }
}
