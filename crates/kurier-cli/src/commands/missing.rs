//! A topic that is not there: which one may be meant, and how to see those there are.

use kurier::{Admin, ClientError, ReadError};

use crate::exit::NoTopic;
use crate::settings::nearest;

/// The outcome as it is, but that a topic which is not there is said in an operator's words.
///
/// # Errors
/// Those of `outcome`.
pub async fn explained<T>(
    admin: &Admin,
    topic: &str,
    outcome: Result<T, impl Into<anyhow::Error>>,
) -> anyhow::Result<T> {
    let error = match outcome {
        Ok(done) => return Ok(done),
        Err(error) => error.into(),
    };
    if !is_missing(&error) {
        return Err(error);
    }
    Err(no_topic(admin, topic).await.into())
}

/// That a topic is not there, for those who need one to go on.
pub async fn wanted(admin: &Admin, topic: &str) -> NoTopic {
    NoTopic { is_wanted: true, ..no_topic(admin, topic).await }
}

async fn no_topic(admin: &Admin, topic: &str) -> NoTopic {
    // A hint only: who may not see topics gets none.
    let topics = admin.list_topics().await.unwrap_or_default();
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    let near = nearest(topic, &names).map(str::to_owned);
    NoTopic { topic: topic.to_owned(), near, is_wanted: false }
}

fn is_missing(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let client = match cause.downcast_ref() {
            Some(ReadError::Cluster { source, .. }) => Some(source),
            _ => cause.downcast_ref::<ClientError>(),
        };
        client.is_some_and(ClientError::is_unknown_topic)
    })
}
