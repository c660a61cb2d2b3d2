//! What may be committed, and the only code that commits.

#![allow(dead_code, reason = "the consumers that use it follow")]

mod tracker;

#[allow(unused_imports, reason = "the consumers that use it follow")]
pub(crate) use tracker::{Committable, Completion, Epoch, OutOfOrder, Settled, Tracker};
