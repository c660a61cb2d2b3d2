//! At-least-once messaging on Apache Kafka: typed messages, a producer that keeps order per key, and
//! consumers that never commit past an unhandled message.

mod access;
mod admin;
mod commit;
mod config;
mod consumer;
mod dead_letter;
mod decode;
mod doctor;
mod error;
mod handler;
mod health;
mod ids;
mod ledger;
mod listener;
mod message;
mod metrics;
mod outbox;
mod producer;
mod reader;
mod serve;
mod sys;
mod trace;

pub use access::{Denial, DenialCause};
pub use admin::{
    Admin, Broker, ClusterInfo, ConfigChanges, ConfigEntry, ConfigSource, GroupDescription,
    GroupLag, GroupListing, GroupMember, GroupState, GroupsFound, LagRow, NewTopic, NodeId,
    OffsetAt, PartitionDescription, Picture, TopicDescription, Watermarks,
};
pub use config::{
    Bounds, ClientConfig, Concurrency, ConfigProblem, ConfigProblems, ConsumerConfig,
    DeliveryProfile, Identity, Mechanism, OPTIONS, OptionSpec, Pem, ProducerConfig, REFUSED,
    Refusal, Sasl, Scope, Secret, Security, Side, StartFrom, Tls, Unit, Verify, canonical_name,
    is_secret, shown,
};
pub use consumer::{
    BatchMessageConsumer, Batches, Closed, ConsumeError, ConsumeReport, ConsumerBuilder,
    ConsumerEvent, Ended, OnFailure, Single, SingleMessageConsumer, StoppedPartition, Topics,
};
pub use dead_letter::{
    DeadLetter, DeadLetterCause, DeadLetterTopicError, LeftBehind, NoSuchCause, NotADeadLetter,
    Planned, Replay, ReplayEnd, ReplayError, ReplayProgress, ReplayReport, Selection, WhyLeft,
};
pub use decode::{
    DecodeError, Decoder, JsonDecoder, MessageDecoder, RawDecoder, Received, Record, TextDecoder,
};
pub use doctor::{
    CHECKS, Check, Diagnosis, Doctor, Finding, Mend, Severity, Subject, checks_as_markdown,
};
pub use error::ClientError;
pub use handler::{
    Batch, BatchHandler, BoxError, Context, Decision, Failure, Handler, Outcomes, RetryPolicy,
};
pub use health::{Condition, Health, HealthHandle, InWork, Liveness, Readiness};
pub use ids::{Offset, PartitionId, Position, TopicPartition};
pub use ledger::{
    FailedDelivery, Fingerprint, GroupJudgement, Instance, Judgement, Ledger, LogJudgement,
    Offence, OffenceKind, Seen, Vantage,
};
pub use message::{
    CONTENT_BYTES_MAX_DEFAULT, Content, Excerpt, Field, Header, Headers, IntoContent, Message,
    MessageError, MessageLimits,
};
pub use metrics::{METRICS, MetricKind, MetricSpec, escape_label};
pub use outbox::{
    OutboxConfig, OutboxDamage, OutboxError, OutboxRejects, OutboxRetried, OutboxStatus,
    OutboxSync, RejectedMessage, WhenFull,
};
pub use producer::{
    Acceptance, BuildError, CloseReport, Delivery, DeliveryError, DeliveryReport, FlushError,
    MessageProducer, NotAccepting, Outcome, OutgoingRecord, ProducerBuilder, ProducerEvent,
    Receipt, SendError, Ticket, Unsent,
};
pub use reader::{ReadError, ReadUntil, TopicReader};
#[cfg(feature = "http")]
pub use serve::MonitorServer;
pub use serve::{Answer, Monitor};
pub use trace::{NoTraceContext, SpanId, TraceContext, TraceId};
