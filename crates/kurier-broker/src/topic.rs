//! A topic: its partitions and its name.

use uuid::Uuid;

use crate::settings::TopicSettings;
use crate::state::ClusterSettings;
use crate::storage::{Partition, PartitionSettings};

/// One topic.
#[derive(Debug)]
pub struct Topic {
    /// Its id, new with each creation.
    pub id: Uuid,
    /// Replicas of each partition.
    pub replicas: usize,
    /// How far the first partition's preferred leader is from the first node.
    pub shift: usize,
    /// What it is set to.
    pub settings: TopicSettings,
    /// Its partitions by number.
    pub partitions: Vec<Partition>,
}

/// Why a topic cannot be made or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// A name that Kafka does not take.
    #[error(
        "{0:?} is no topic name: 1 to 249 characters of a-z, A-Z, 0-9, '.', '_', '-', and not '.' or '..'"
    )]
    Name(String),
    /// There is one of that name.
    #[error("the topic exists")]
    Exists,
    /// There is none of that name.
    #[error("the topic does not exist")]
    Unknown,
    /// More replicas than nodes, or none.
    #[error("{found} replicas asked for, {live} nodes are up")]
    Replicas {
        /// Replicas asked for.
        found: usize,
        /// Nodes that are up.
        live: usize,
    },
    /// No partitions, or more than there is room for.
    #[error("{found} partitions asked for: at least 1, and there is room for {room} more")]
    Partitions {
        /// Partitions asked for.
        found: usize,
        /// Partitions that there is room for.
        room: usize,
    },
    /// Partitions are never taken away.
    #[error("the topic has {present} partitions already, and can only get more")]
    Fewer {
        /// Partitions it has.
        present: usize,
    },
    /// A setting that is not honoured here, or a value that is none.
    #[error("{name}={value}: {reason}")]
    Setting {
        /// Kafka's name.
        name: String,
        /// What was asked for.
        value: String,
        /// Why not.
        reason: String,
    },
}

impl Topic {
    /// How its partitions behave.
    pub fn partition_settings(&self, cluster: &ClusterSettings) -> PartitionSettings {
        PartitionSettings {
            bytes_max: self.settings.bytes_max.unwrap_or(cluster.partition_bytes_max),
            batch_bytes_max: self.settings.batch_bytes_max,
            min_in_sync: self.settings.min_in_sync,
            lag_max: cluster.replica_lag_max,
            unclean_election: self.settings.unclean_election,
            timestamps: self.settings.timestamps,
            ahead_max: self.settings.ahead_max,
        }
    }

    /// Whether Kafka takes this name.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_name(name: &str) -> Result<(), TopicError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let dots = matches!(name, "." | "..");
        if (1..=249).contains(&name.len()) && name.bytes().all(legal) && !dots {
            Ok(())
        } else {
            Err(TopicError::Name(name.chars().take(300).collect()))
        }
    }
}
