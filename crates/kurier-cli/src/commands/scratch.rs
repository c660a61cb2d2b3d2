//! A topic of a command's own on somebody's cluster.

use std::time::Duration;

use kurier::{Admin, ClientError, NewTopic};

/// Such a topic. It stays until it is deleted.
#[derive(Debug)]
pub struct Scratch {
    pub topic: String,
    pub replicas: u16,
}

/// How long its partitions may take to get leaders.
const LED_WITHIN: Duration = Duration::from_secs(30);

impl Scratch {
    /// Makes one whose name begins with `name`: as many replicas as there are brokers, up to three, and
    /// of three two must be in sync. Waits until it can be written.
    ///
    /// # Errors
    /// When the cluster can't be reached, or refuses.
    pub async fn make(admin: &Admin, name: &str, partitions: u32) -> Result<Self, ClientError> {
        let brokers = admin.cluster_info().await?.brokers.len();
        let replicas = u16::try_from(brokers.clamp(1, 3)).unwrap_or(1);
        let topic = unique(name);
        let mut wanted = NewTopic::new(&topic).partitions(partitions).replication(replicas);
        if replicas == 3 {
            wanted = wanted.config("min.insync.replicas", "2");
        }
        admin.create_topic(&wanted).await?;
        admin.wait_for_topic(&topic, LED_WITHIN).await?;
        Ok(Self { topic, replicas })
    }
}

/// A name that nobody else has: `NAME-` and eight letters.
pub fn unique(name: &str) -> String {
    let chance = uuid::Uuid::new_v4().simple().to_string();
    format!("{name}-{}", &chance[..8])
}
