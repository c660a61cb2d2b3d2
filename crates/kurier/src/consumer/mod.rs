//! The two consumers: one calls its handler for each message, the other for batches.
//!
//! It owns a run from the first look for the cluster to the closed client. What may be committed is
//! decided by [`commit`](crate::commit), what handlers are is said by [`handler`](crate::handler).
//!
//! One thread owns the client, the tracker and all commits. Each partition has a lane: a bounded queue
//! and a task on the caller's runtime that reads values and calls the handler.

mod batch;
mod builder;
mod close;
mod context;
mod desk;
mod end;
mod event;
mod giving_up;
mod held;
mod keyed;
mod keys;
mod lanes;
mod letters;
mod mailbox;
mod message;
mod outset;
mod poll;
mod rebalance;
mod replaced;
mod report;
mod retelling;
mod run;
mod silent;
mod single;
mod start;
mod trouble;
mod unreadable;
mod vitals;

pub(crate) use context::Client;

pub use builder::{ConsumerBuilder, OnFailure, Topics};
pub use event::ConsumerEvent;
pub use report::{Closed, ConsumeError, ConsumeReport, Ended, StoppedPartition};

use crate::{ConsumerConfig, MessageDecoder};

/// A handler call per message, in order within a partition, partitions at the same time.
#[derive(Debug, Clone, Copy)]
pub struct SingleMessageConsumer;

/// A handler call per batch of messages of one partition.
#[derive(Debug, Clone, Copy)]
pub struct BatchMessageConsumer;

/// Marks a builder of [`SingleMessageConsumer`].
#[derive(Debug, Clone, Copy)]
pub struct Single;

/// Marks a builder of [`BatchMessageConsumer`].
#[derive(Debug, Clone, Copy)]
pub struct Batches;

impl SingleMessageConsumer {
    /// The group of all single consumers, unless another is named.
    pub const DEFAULT_GROUP: &'static str = "single_message_group_1";

    /// A consumer of `topics` on the cluster at `bootstrap`.
    pub fn builder(
        bootstrap: impl Into<String>,
        topics: impl Into<Topics>,
    ) -> ConsumerBuilder<Single, MessageDecoder> {
        let mut config = ConsumerConfig::new(bootstrap, Self::DEFAULT_GROUP);
        config.topics = topics.into().0;
        ConsumerBuilder::new(config, MessageDecoder::default())
    }
}

impl BatchMessageConsumer {
    /// The group of all batch consumers, unless another is named.
    pub const DEFAULT_GROUP: &'static str = "batch_message_group_1";

    /// A consumer of `topics` on the cluster at `bootstrap`.
    pub fn builder(
        bootstrap: impl Into<String>,
        topics: impl Into<Topics>,
    ) -> ConsumerBuilder<Batches, MessageDecoder> {
        let mut config = ConsumerConfig::new(bootstrap, Self::DEFAULT_GROUP);
        config.topics = topics.into().0;
        ConsumerBuilder::new(config, MessageDecoder::default())
    }
}

#[cfg(test)]
mod tests;
