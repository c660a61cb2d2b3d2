//! Where a benchmark sends to or reads from: a topic of its own, or one that is there and that it leaves
//! as it is unless told otherwise.

use kurier::{Admin, ClientError};
use serde_json::{Value, json};

use crate::args::{Global, PlaceArgs};
use crate::commands::missing::explained;
use crate::commands::scratch::Scratch;
use crate::exit::UsageError;
use crate::output::counted;
use crate::signals::Signals;

/// A topic, and what is to become of it.
pub(super) struct Place {
    pub(super) admin: Admin,
    pub(super) topic: String,
    pub(super) partitions: usize,
    replicas: usize,
    brokers: usize,
    ends: Ends,
    /// Messages that were there at the beginning, as far as offsets tell.
    pub(super) before: u64,
    /// The sum of the offsets' ends at the beginning.
    end_before: i64,
}

/// What becomes of the topic in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Deleted,
    Stays,
}

/// What is to be done with a topic that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Only read.
    Read,
    /// Written to, if it is empty.
    Fill,
    /// Written to, whatever is in it.
    Add,
}

impl Use {
    /// For a command that writes.
    pub(super) fn writes(add: bool) -> Self {
        if add { Self::Add } else { Self::Fill }
    }
}

impl Place {
    /// Makes a topic, or looks at the one that is named.
    ///
    /// # Errors
    /// When it can't be had, or has messages and nobody said that more may be added.
    pub(super) async fn open(args: &PlaceArgs, used: Use, global: &Global) -> anyhow::Result<Self> {
        let admin = crate::commands::admin(global)?;
        let (topic, ends) = match &args.topic {
            Some(topic) => (topic.clone(), Ends::Stays),
            None => {
                let made = Scratch::make(&admin, "kurier-bench", args.partitions).await?;
                let ends = if args.keep { Ends::Stays } else { Ends::Deleted };
                let whether = if args.keep { "stays" } else { "is deleted afterwards" };
                tracing::info!(
                    "made topic {}: {}, {}; it {whether}",
                    made.topic,
                    counted(args.partitions, "partition"),
                    counted(made.replicas, "replica"),
                );
                (made.topic, ends)
            }
        };
        let looked = Self::look(admin, topic, ends).await?;
        if used == Use::Fill && 0 < looked.before {
            let Self { topic, before, .. } = &looked;
            return Err(UsageError(format!(
                "topic {topic} has {}: --add adds more to them; without --topic a new one is made, and deleted \
                 afterwards",
                counted(*before, "message")
            ))
            .into());
        }
        Ok(looked)
    }

    async fn look(admin: Admin, topic: String, ends: Ends) -> anyhow::Result<Self> {
        let brokers = admin.cluster_info().await?.brokers.len();
        let described = admin.describe_topic(&topic).await;
        let described = explained(&admin, &topic, described).await?;
        let watermarks = admin.watermarks(&topic).await?;
        let before: i64 = watermarks.values().map(|it| it.end.0 - it.earliest.0).sum();
        Ok(Self {
            partitions: described.partitions.len(),
            replicas: described.partitions.iter().map(|it| it.replicas.len()).max().unwrap_or(0),
            brokers,
            before: u64::try_from(before).unwrap_or(0),
            end_before: watermarks.values().map(|it| it.end.0).sum(),
            admin,
            topic,
            ends,
        })
    }

    /// How many messages were added since the beginning, by this run or by others; `None` when the second
    /// signal came before it was known.
    ///
    /// # Errors
    /// When the cluster doesn't say.
    pub(super) async fn added(&self, signals: &Signals) -> Result<Option<u64>, ClientError> {
        let watermarks = tokio::select! {
            biased;
            () = signals.leave.cancelled() => return Ok(None),
            watermarks = self.admin.watermarks(&self.topic) => watermarks?,
        };
        let end: i64 = watermarks.values().map(|it| it.end.0).sum();
        Ok(Some(u64::try_from(end - self.end_before).unwrap_or(0)))
    }

    /// For `result.json`.
    pub(super) fn described(&self) -> Value {
        json!({
            "name": self.topic, "partitions": self.partitions, "replicas": self.replicas,
            "brokers": self.brokers, "made": self.ends == Ends::Deleted,
        })
    }

    /// Deletes the group of a run, unless the second signal comes.
    pub(super) async fn forget(&self, group: &str, signals: &Signals) {
        let deleted = tokio::select! {
            deleted = self.admin.delete_group(group) => deleted.map_err(|error| error.to_string()),
            () = signals.leave.cancelled() => Err("left at once".to_owned()),
        };
        if let Err(reason) = deleted {
            tracing::warn!("group {group} stays: {reason}");
        }
    }

    /// Deletes the topic, if it was made for the run, unless the second signal comes.
    pub(super) async fn close(self, signals: &Signals) {
        if self.ends == Ends::Stays {
            return self.admin.close().await;
        }
        let deleted = tokio::select! {
            deleted = self.admin.delete_topic(&self.topic) => deleted.map_err(|error| error.to_string()),
            () = signals.leave.cancelled() => Err("left at once".to_owned()),
        };
        if let Err(reason) = deleted {
            tracing::warn!("topic {} stays: {reason}", self.topic);
        }
        if !signals.leave.is_cancelled() {
            self.admin.close().await;
        }
    }
}
