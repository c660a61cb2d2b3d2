//! Fuzzing of the embedded cluster's requests on stable Rust: valid requests of every API and version are
//! damaged by a generator with a seed, and go the way that a connection's bytes go. A case is wrong when
//! the node panics, answers what does not read back, or takes more memory than a request may.
//!
//! The same seed makes the same cases. `Target::feed` takes any bytes, so that a target for libFuzzer is
//! one line around it.

mod memory;
mod mutate;
mod random;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kurier_broker::fuzzing::{Behaviour, Outcome, Target, Wrong, corpus};

use memory::AddressSpace;
use random::Random;

/// Memory that one case may take on top of what was taken before: well above what an array of the most
/// elements takes that a request of these sizes can hold.
const CASE_BYTES_MAX: u64 = 64 << 20;
/// After so many cases a new node takes over, so that state never grows old, nor a failure's history
/// long.
const CASES_A_NODE: u64 = 5_000;

/// What a run saw, when nothing was wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Cases that were answered.
    pub answered: u64,
    /// Cases that waited for time or others.
    pub waited: u64,
    /// Cases that closed their connection.
    pub closed: u64,
    /// Cases that ended within a request.
    pub incomplete: u64,
    /// Cases that want no answer.
    pub unanswered: u64,
    /// The APIs that were answered, by Kafka's numbers.
    pub apis: BTreeSet<i16>,
    /// Bytes of the largest answer.
    pub answer_bytes_max: usize,
    /// The most memory that a case took on top of what was taken before; `None` where the system does
    /// not tell.
    pub case_bytes_max: Option<u64>,
}

/// A case that went wrong.
#[derive(Debug, thiserror::Error)]
#[error("case {case} of seed {seed}: {what}\n{}", hex(.stream))]
pub struct Found {
    /// The run's seed.
    pub seed: u64,
    /// The case's number in it.
    pub case: u64,
    /// What went wrong.
    pub what: Failure,
    /// The bytes that were sent.
    pub stream: Vec<u8>,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The node panicked.
    #[error("the node panicked")]
    Panic,
    /// The answer is none.
    #[error(transparent)]
    Answer(#[from] Wrong),
    /// It took more memory than a request may.
    #[error("it took {0} bytes of memory")]
    Memory(u64),
}

/// Runs so many cases.
///
/// # Errors
/// With the first case that goes wrong.
pub fn run(cases: u64, seed: u64) -> Result<Report, Box<Found>> {
    let examples = corpus();
    let mut random = Random::new(seed);
    let mut report = Report::default();
    let mut target = Target::new(Behaviour::Right);
    let mut space = AddressSpace::now();
    for case in 0..cases {
        if case % CASES_A_NODE == CASES_A_NODE - 1 {
            let odd = (case / CASES_A_NODE).is_multiple_of(2);
            target = Target::new(if odd { Behaviour::Faulty } else { Behaviour::Right });
            space = AddressSpace::now();
        }
        let stream = mutate::case(&mut random, &examples);
        let fed = catch_unwind(AssertUnwindSafe(|| target.feed(&stream)));
        let grown = space.grown();
        report.case_bytes_max = report.case_bytes_max.max(grown);
        let outcome = match fed {
            Err(_) => Err(Failure::Panic),
            Ok(Err(wrong)) => Err(Failure::Answer(wrong)),
            Ok(Ok(_)) if grown.is_some_and(|grown| CASE_BYTES_MAX < grown) => {
                Err(Failure::Memory(grown.unwrap_or_default()))
            }
            Ok(Ok(outcome)) => Ok(outcome),
        };
        match outcome {
            Ok(outcome) => report.count(outcome),
            Err(what) => return Err(Box::new(Found { seed, case, what, stream })),
        }
    }
    Ok(report)
}

impl Report {
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Answered { api, bytes } => {
                self.answered += 1;
                self.apis.insert(api as i16);
                self.answer_bytes_max = self.answer_bytes_max.max(bytes);
            }
            Outcome::Unanswered => self.unanswered += 1,
            Outcome::Waits => self.waited += 1,
            Outcome::Closed => self.closed += 1,
            Outcome::Incomplete => self.incomplete += 1,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
