//! The collectors: each asks at its own pace, within its own deadline, and publishes what it saw.

mod clients;
mod cluster;
mod groups;
mod offsets;
mod probe;
mod settings;

use std::sync::Arc;

use kurier::Admin;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::looks::ClusterLook;

/// Runs all collectors until they shall stop, and then disconnects. A look that is under way is left.
pub(super) async fn run(board: Arc<Board>, admin: Admin, stop: CancellationToken) {
    let admin = Arc::new(admin);
    let mut collectors = JoinSet::new();
    collectors.spawn(cluster::collect(Arc::clone(&board), Arc::clone(&admin)));
    collectors.spawn(offsets::collect(Arc::clone(&board), Arc::clone(&admin)));
    collectors.spawn(groups::collect(Arc::clone(&board), Arc::clone(&admin)));
    collectors.spawn(settings::collect(Arc::clone(&board), Arc::clone(&admin)));
    if !board.config.clients.is_empty() {
        collectors.spawn(clients::collect(Arc::clone(&board)));
    }
    stop.run_until_cancelled(attend(&board, &mut collectors)).await;
    collectors.shutdown().await;
    // Looks at groups end at the next turn of their tasks.
    while 1 < Arc::strong_count(&admin) {
        tokio::task::yield_now().await;
    }
    if let Some(admin) = Arc::into_inner(admin) {
        admin.close().await;
    }
}

/// Waits for collectors to end, which none does by itself: what it saw last stays, and grows old.
async fn attend(board: &Board, collectors: &mut JoinSet<()>) {
    while let Some(ended) = collectors.join_next().await {
        let why = match ended {
            Ok(()) => "a collector has ended".to_owned(),
            Err(error) => format!("a collector died: {error}").replace(char::is_control, " "),
        };
        tracing::error!("{why}; what it saw last stays, and grows old");
        // The first is enough.
        let _ = board.died.set(why);
    }
}

/// The cluster as it was seen last; waits until it was seen for the first time, before which there is
/// nothing to ask about.
async fn cluster_seen(board: &Board) -> Arc<ClusterLook> {
    let mut changes = board.changes();
    loop {
        if let Some(look) = board.cluster.kept().data {
            return look;
        }
        // The board has the sender, so this does not fail.
        let _ = changes.changed().await;
    }
}

/// `1 partition`, `2 partitions`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Complaints as one.
fn joined(complaints: impl Iterator<Item = String>) -> Option<String> {
    complaints.reduce(|all, complaint| format!("{all}; {complaint}"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use kurier::ClientConfig;

    use super::*;
    use crate::WatchConfig;

    /// Nothing restarts it: whoever asks whether this is alive is told to.
    #[tokio::test]
    async fn that_a_collector_died_is_known() {
        let config = WatchConfig::new(ClientConfig::new("127.0.0.1:1"));
        let board = Board::new(config, Timestamp::UNIX_EPOCH);
        let mut collectors = JoinSet::new();
        collectors.spawn(async { panic!("out\nof reach") });
        assert_eq!(board.died.get(), None);
        attend(&board, &mut collectors).await;
        let why = board.died.get().expect("it is dead");
        assert!(why.contains("reach") && !why.contains('\n'), "{why}");
    }
}
