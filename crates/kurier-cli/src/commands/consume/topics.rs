//! Whether there is something to consume, for a run that is to leave by itself: it would wait for ever for a
//! topic that is misspelt.

use std::time::Duration;

use kurier::{Admin, ClientError};

use crate::args::Global;
use crate::commands::{self, missing};
use crate::exit::NoTopic;
use crate::signals::Signals;

/// How long a topic that was made a moment ago may be unknown to a broker.
const GRACE: Duration = Duration::from_secs(2);

/// Looks for each topic, once there is a cluster that can be asked; ends at the first signal. What else is
/// wrong with a topic the run says.
///
/// # Errors
/// When one is not there, with the name that may be meant.
pub(super) async fn look_for(
    topics: &[String],
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<()> {
    let admin = commands::admin(global)?;
    let looked = tokio::select! {
        looked = all(&admin, topics) => looked,
        () = signals.drain.cancelled() => Ok(()),
    };
    admin.close().await;
    Ok(looked?)
}

async fn all(admin: &Admin, topics: &[String]) -> Result<(), NoTopic> {
    let mut said = false;
    for topic in topics {
        while let Err(error) = admin.wait_for_topic(topic, GRACE).await {
            if error.is_unknown_topic() {
                return Err(missing::wanted(admin, topic).await);
            }
            if !matches!(error, ClientError::Unreachable { .. }) {
                break;
            }
            if !std::mem::replace(&mut said, true) {
                tracing::warn!(%error, "waiting for the cluster");
            }
        }
    }
    Ok(())
}
