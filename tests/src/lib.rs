//! What the scenarios share: two kinds of cluster behind one trait, a load that keeps books, an
//! audit that reads a topic without kurier, and kurier's own binary as a process.
//!
//! This crate is the only place besides the command line's settings that reads the environment:
//! `KURIER_TEST_CLUSTER` says what the scenarios run on, see [`cluster`].
#![allow(clippy::print_stderr, reason = "a test talks to the person who runs it")]

pub mod answer;
pub mod audit;
pub mod binary;
pub mod books;
pub mod churn;
pub mod cluster;
mod evidence;
pub mod fleet;
pub mod follow;
pub mod hook;
pub mod keyed;
pub mod killed;
pub mod load;
pub mod process;
pub mod proxy;
pub mod random;
mod samples;
pub mod scene;
pub mod senders;
pub mod trial;
pub mod waits;
