//! Settings of topics: `min.insync.replicas`, and what is not Kafka's default.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kurier::{Admin, ClientError, ConfigEntry, ConfigSource, NodeId};

use super::counted;
use crate::view::{Part, Setting};
use crate::watch::board::Board;
use crate::watch::looks::{ClusterLook, SettingsLook, TopicSettings};

/// How many topics are asked for at a time: each answers with some thirty settings.
const AT_ONCE: usize = 100;

const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

pub(super) async fn collect(board: Arc<Board>, admin: Arc<Admin>) {
    for round in 0.. {
        let cluster = super::cluster_seen(&board).await;
        look(&board, &admin, &cluster, round).await;
        // Topics that are new are not kept waiting.
        let new = topics_new(&board, &cluster);
        let _ = tokio::time::timeout(board.config.pace.settings, new).await;
    }
}

/// Waits until there are topics that were not asked about, whatever was answered, and at least as long as
/// between two looks at the cluster.
async fn topics_new(board: &Board, asked: &ClusterLook) {
    loop {
        tokio::time::sleep(board.config.pace.cluster).await;
        let cluster = board.cluster.kept().data;
        let is_new = |name: &Arc<str>| !asked.topics.contains_key(name);
        if cluster.is_some_and(|cluster| cluster.topics.keys().any(is_new)) {
            return;
        }
    }
}

async fn look(board: &Board, admin: &Admin, cluster: &ClusterLook, round: usize) {
    let up: Vec<i32> =
        cluster.brokers.iter().filter(|(_, known)| known.up).map(|(id, _)| id).collect();
    let before = board.settings.kept().data;
    let before = |name: &str| before.as_ref().and_then(|look| look.topics.get(name)).cloned();
    let names: Vec<&Arc<str>> = cluster.topics.keys().collect();
    let (mut look, mut failed, mut error) = (SettingsLook::default(), 0, None);
    for (part, names) in names.chunks(AT_ONCE).enumerate() {
        let Some(broker) = up.get((round + part) % up.len().max(1)) else {
            board.settings.failed("no broker is there".to_owned());
            board.published(Part::Settings);
            return;
        };
        let asked: Vec<&str> = names.iter().map(|name| &***name).collect();
        let answer = admin.configs_of_each(NodeId(*broker), &asked).await;
        let now = Timestamp::now();
        let mut of: BTreeMap<String, Result<Vec<ConfigEntry>, ClientError>> = BTreeMap::new();
        let mut of_all = None;
        match answer {
            Ok(answer) => of.extend(answer),
            Err(one) => of_all = Some(one),
        }
        for name in names {
            let settings = match of.remove(&***name) {
                Some(Ok(entries)) => settings(now, entries),
                other => {
                    failed += 1;
                    let one = match (other, &of_all) {
                        (Some(Err(one)), _) => one.to_string(),
                        (_, Some(one)) => one.to_string(),
                        (_, None) => "the answer says nothing of it".to_owned(),
                    };
                    error.get_or_insert_with(|| one.clone());
                    TopicSettings { error: Some(one), ..before(name).unwrap_or_default() }
                }
            };
            look.topics.insert(Arc::clone(name), settings);
        }
    }
    match error.map(|error| format!("no settings of {}: {error}", counted(failed, "topic"))) {
        Some(error) if failed == look.topics.len() => board.settings.failed(error),
        error => board.settings.seen(Timestamp::now(), look, error),
    }
    board.published(Part::Settings);
}

fn settings(now: Timestamp, entries: Vec<ConfigEntry>) -> TopicSettings {
    let min = entries.iter().find(|entry| entry.name == MIN_INSYNC_REPLICAS);
    let min = min.and_then(|entry| entry.value.as_ref()?.parse().ok());
    let set =
        |entry: &ConfigEntry| matches!(entry.source, ConfigSource::Topic | ConfigSource::Broker);
    let mut others: Vec<_> = entries
        .into_iter()
        .filter(set)
        .map(|entry| Setting { name: entry.name, value: entry.value.filter(|_| !entry.sensitive) })
        .collect();
    others.sort_by(|a, b| a.name.cmp(&b.name));
    TopicSettings {
        min_insync_replicas: min,
        others_than_default: others,
        as_of: Some(now),
        error: None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kurier::ClientConfig;

    use super::*;
    use crate::WatchConfig;
    use crate::watch::looks::TopicLook;

    fn cluster(topics: &[&str]) -> ClusterLook {
        let topics = topics.iter().map(|name| (Arc::from(*name), TopicLook::default()));
        ClusterLook { topics: topics.collect(), ..ClusterLook::default() }
    }

    /// Brokers that don't let this user read settings would else be asked for all of them all the time.
    #[tokio::test(start_paused = true)]
    async fn topics_that_were_asked_about_in_vain_wait_for_their_turn() {
        let board =
            Board::new(WatchConfig::new(ClientConfig::new("127.0.0.1:1")), Timestamp::UNIX_EPOCH);
        let asked = cluster(&["a", "b"]);
        board.cluster.seen(Timestamp::UNIX_EPOCH, cluster(&["a", "b"]), None);
        board.settings.failed("not allowed".to_owned());
        let pause = Duration::from_secs(25);
        assert!(tokio::time::timeout(pause, topics_new(&board, &asked)).await.is_err());
        board.cluster.seen(Timestamp::UNIX_EPOCH, cluster(&["a", "b", "c"]), None);
        assert!(tokio::time::timeout(pause, topics_new(&board, &asked)).await.is_ok());
    }
}
