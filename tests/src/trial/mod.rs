//! The full trial: producers and a group under load, one fault each, and a verdict on every message.
//!
//! [`CASES`] is the table of what is tried. [`run`] tries one; the same code serves the scenarios, of which
//! a selection is short enough for every day, and the runner of all (`--bin trial`), which writes the
//! table of results.

mod absence;
mod cases;
mod control;
mod faults;
mod freezes;
mod results;
mod run;
mod verdict;

pub use self::cases::{CASES, Case, Fault, How, Target, case};
pub use self::control::careless_acks_1;
pub use self::results::Results;
pub use self::run::run;
pub use self::verdict::{Row, Verdict};
