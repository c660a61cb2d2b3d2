//! What may be committed, the only code that commits, and what is handled again.

mod begun;
#[cfg(test)]
mod careless;
mod committer;
mod seen;
mod tracker;

pub(crate) use begun::Begun;
pub(crate) use committer::{Answered, Committer};
pub(crate) use seen::Seen;
pub(crate) use tracker::{Committable, Completion, Epoch, OutOfOrder, Settled, Tracker};
