//! What may be committed, and the only code that commits.

#[cfg(test)]
mod careless;
mod committer;
mod tracker;

pub(crate) use committer::Committer;
pub(crate) use tracker::{Committable, Completion, Epoch, Settled, Tracker};
