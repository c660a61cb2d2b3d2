//! `kurier dlq`: dead letters counted, looked at, and sent again.

mod census;
mod list;
mod replay;
mod show;

use kurier::{PartitionId, ReplayError};

use super::missing::explained;
use crate::args::{DlqCommand, Global};
use crate::exit::Exit;
use crate::signals::Signals;

/// Does what was asked.
///
/// # Errors
/// When it cannot be done.
pub async fn run(command: DlqCommand, global: &Global, signals: &Signals) -> anyhow::Result<Exit> {
    match command {
        DlqCommand::List(args) => list::run(args, global, signals).await,
        DlqCommand::Show(args) => show::run(args, global, signals).await,
        DlqCommand::Replay(args) => replay::run(args, global, signals).await,
    }
}

/// A partition that the topic does not have, as `replay` says it.
fn no_partition(topic: &str, partition: PartitionId, partitions: usize) -> ReplayError {
    ReplayError::NoPartition { topic: topic.to_owned(), partition, partitions }
}

/// The outcome as it is, but that a dead-letter topic which is not there is said in an operator's words.
async fn there<T>(
    topic: &str,
    outcome: Result<T, impl Into<anyhow::Error>>,
    global: &Global,
) -> anyhow::Result<T> {
    if outcome.is_ok() {
        return outcome.map_err(Into::into);
    }
    let admin = super::admin(global)?;
    let explained = explained(&admin, topic, outcome).await;
    admin.close().await;
    explained
}
