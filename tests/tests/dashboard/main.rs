//! The dashboard over real HTTP, on the embedded cluster: what it answers to its page, and to those who mean
//! no good.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod asking;
mod bounds;
mod changes;
mod guarded;
mod hostile;
mod letters;
mod messages;
mod tails;
mod waits;
