//! The outbox: messages on disk from their acceptance until they are delivered.
//!
//! One thread writes ([`writer`]): it appends what waits to the active segment ([`log`]), makes it
//! durable with one `fsync` for all, answers those who wait, writes down what is delivered, and deletes
//! segments in which everything is. Whoever sends to Kafka reads the segments in order ([`reader`]), also
//! what was written a moment ago: what a process before has left, what memory has no room for, and what
//! is new are one and the same stream.
//!
//! What no broker takes is put aside with the reason ([`rejects`]): outside of the limit, until an operator
//! brings it back or discards it.
//!
//! It knows nothing of Kafka and of deliveries; the producer does.

mod ages;
mod aside;
mod batch;
mod config;
mod depth;
mod disk;
mod entry;
mod frame;
mod index;
mod lock;
mod log;
mod marks;
mod open;
mod reader;
mod rejects;
mod segment;
mod settled;
mod shared;
mod status;
mod survey;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use batch::{Acceptance, NotStored};
pub use config::{OutboxConfig, OutboxSync, WhenFull};
pub(crate) use depth::DepthGauge;
pub(crate) use entry::Entry;
pub(crate) use frame::Sequence;
pub use open::OutboxError;
pub(crate) use open::open;
pub(crate) use reader::Reader;
pub use rejects::{OutboxRejects, OutboxRetried, RejectedMessage};
pub(crate) use shared::{News, Outbox, Teller};
pub use status::{OutboxDamage, OutboxStatus};
