//! The admin client: asks the cluster about topics, groups and itself, and changes topics and groups.
//!
//! Owns [`Admin`] and how errors of a call become a [`ClientError`]. How calls wait and are answered is
//! in `calls`; what can be asked, by subject, in `topics`, `groups` and `cluster`; how what is there is
//! changed in `alter_topics` and `alter_groups`.

mod alter_groups;
mod alter_topics;
mod asker;
mod calls;
mod cluster;
mod groups;
mod settings;
#[cfg(test)]
mod tests;
mod topics;

use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

pub use alter_topics::ConfigChanges;
pub use cluster::{Broker, ClusterInfo, NodeId};
pub use groups::{
    GroupDescription, GroupLag, GroupListing, GroupMember, GroupState, GroupsFound, LagRow,
};
pub use settings::Picture;
pub use topics::{
    ConfigEntry, ConfigSource, NewTopic, OffsetAt, PartitionDescription, TopicDescription,
    Watermarks,
};

use crate::sys::{Answer, Fault, Metadata, Request, Topics};
use crate::{ClientConfig, ClientError, ConfigProblems};
use calls::Calls;

/// How long a call takes at most unless [`Admin::with_timeout`] says otherwise.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// How long a question waits before it is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks the cluster, and changes its topics and groups. Works with any Kafka.
///
/// Every call ends within the timeout (10 s unless [`with_timeout`](Self::with_timeout) says
/// otherwise). A question is asked again until then when the cluster's answer is one that passes, such
/// as an election; a change is not, once it may have been made.
///
/// All calls may be made at once, from any task; dropping one of their futures is safe, but takes no
/// request back. They need no particular runtime except tokio's timer.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use kurier::{Admin, ClientConfig, NewTopic};
///
/// let admin = Admin::connect(&ClientConfig::new("localhost:9092"))?;
/// admin.create_topic(&NewTopic::new("orders").partitions(3).replication(3)).await?;
/// for partition in admin.wait_for_topic("orders", Duration::from_secs(10)).await?.partitions {
///     println!("{}: led by {:?}", partition.partition, partition.leader);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Admin {
    calls: Calls,
    bootstrap: String,
    timeout: Duration,
}

impl Admin {
    /// A client of the cluster that `config` names. Connecting goes on in the background: a cluster
    /// that can't be reached shows as the error of the first call.
    ///
    /// # Errors
    /// Every problem with the configuration.
    pub fn connect(config: &ClientConfig) -> Result<Self, ConfigProblems> {
        Ok(Self {
            calls: Calls::start(config)?,
            bootstrap: config.bootstrap.clone(),
            timeout: TIMEOUT_DEFAULT,
        })
    }

    /// The same client with another timeout for each call. Default: 10 s. At most an hour.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long a call takes at most.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Disconnects, and waits until that is done. A client that is just dropped disconnects too, on
    /// its own thread.
    pub async fn close(self) {
        self.calls.close().await;
    }

    /// Asks a question again until it is answered, refused for good, or the timeout is over.
    async fn question<T>(
        &self,
        doing: &str,
        request: &Request<'_>,
        read: impl Fn(&Answer) -> Result<T, Fault>,
    ) -> Result<T, ClientError> {
        self.question_until(self.deadline(), doing, request, read).await
    }

    /// Asks a question, and takes no for an answer.
    async fn question_once<T>(
        &self,
        doing: &str,
        request: &Request<'_>,
        read: impl Fn(&Answer) -> Result<T, Fault>,
    ) -> Result<T, ClientError> {
        self.asked(self.deadline(), doing, request, read, |_| false).await
    }

    async fn question_until<T>(
        &self,
        deadline: Instant,
        doing: &str,
        request: &Request<'_>,
        read: impl Fn(&Answer) -> Result<T, Fault>,
    ) -> Result<T, ClientError> {
        self.asked(deadline, doing, request, read, ClientError::is_retriable).await
    }

    /// Asks for a change; again only where it was certainly not made.
    async fn change(
        &self,
        doing: &str,
        request: &Request<'_>,
        read: impl Fn(&Answer) -> Result<(), Fault>,
    ) -> Result<(), ClientError> {
        let again = |error: &ClientError| error.is_retriable() && !error.may_have_been_applied();
        self.asked(self.deadline(), doing, request, read, again).await
    }

    /// Asks until `read` makes something of the answer, or an error is not one to ask `again` after.
    async fn asked<T>(
        &self,
        deadline: Instant,
        doing: &str,
        request: &Request<'_>,
        read: impl Fn(&Answer) -> Result<T, Fault>,
        again: impl Fn(&ClientError) -> bool,
    ) -> Result<T, ClientError> {
        let read = &read;
        let ask = |left| async move { read(&self.calls.ask(request, left).await?) };
        self.until(deadline, doing, ask, again).await
    }

    /// What a broker sees of the cluster and of `topics`.
    async fn metadata(
        &self,
        deadline: Instant,
        doing: &str,
        topics: &Topics,
    ) -> Result<Metadata, ClientError> {
        let ask = |left| self.calls.metadata(topics.clone(), left);
        self.until(deadline, doing, ask, ClientError::is_retriable).await
    }

    /// The end of a call that starts now.
    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    async fn until<T, F: Future<Output = Result<T, Fault>>>(
        &self,
        deadline: Instant,
        doing: &str,
        ask: impl Fn(Duration) -> F,
        again: impl Fn(&ClientError) -> bool,
    ) -> Result<T, ClientError> {
        loop {
            let answer = tokio::select! {
                answer = ask(left(deadline)) => answer,
                denied = self.calls.denied() => return Err(denied),
            };
            let error = match answer {
                Ok(answered) => {
                    self.calls.reached();
                    return Ok(answered);
                }
                Err(fault) => self.error(doing, fault),
            };
            if !again(&error) || !pause(deadline).await {
                return Err(self.calls.denial().await.unwrap_or(error));
            }
        }
    }

    /// Names who is not allowed to do it.
    fn named(&self, error: ClientError) -> ClientError {
        match error {
            ClientError::Unauthorized { doing, code } => {
                ClientError::Unauthorized { doing: doing + &self.calls.as_user(), code }
            }
            error => error,
        }
    }

    /// What a fault means: that no broker can be reached, or what it says.
    fn error(&self, doing: &str, fault: Fault) -> ClientError {
        let trouble = if is_silence(fault.code) {
            self.calls.trouble()
        } else {
            self.calls.reached();
            None
        };
        match trouble {
            Some(trouble) => ClientError::Unreachable {
                bootstrap: self.bootstrap.clone(),
                waited: self.timeout,
                reason: trouble.unwrap_or(fault.reason),
            },
            None => {
                let error = ClientError::from_code(doing, fault.code, fault.reason);
                self.named(error)
            }
        }
    }
}

/// True for librdkafka's own codes that tell of no answer.
fn is_silence(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        code,
        C::OperationTimedOut | C::BrokerTransportFailure | C::AllBrokersDown | C::Resolve
    )
}

/// How long it is until `deadline`.
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Waits a moment before the next question; false when there is no time for one.
async fn pause(deadline: Instant) -> bool {
    let time = PAUSE < left(deadline);
    if time {
        tokio::time::sleep(PAUSE).await;
    }
    time
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("bootstrap", &self.bootstrap)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
