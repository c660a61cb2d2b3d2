//! The end: a table and a verdict, or one JSON object.

use std::path::PathBuf;

use kurier::{GroupJudgement, Judgement};
use serde_json::json;

use super::witness::{BATCH, SINGLE, Witness};
use crate::output;

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    judgement: Judgement,
    rebalances: u64,
    kills: u64,
    /// Messages that went to the dead-letter topic, by group.
    dead_lettered: [u64; 2],
    /// Those that are said to be there and are not.
    letters_missing: u64,
}

impl Report {
    /// The verdict of the witness.
    pub fn new(witness: &Witness, kills: u64) -> Self {
        Self {
            judgement: witness.judge(),
            rebalances: witness.rebalances(),
            kills,
            dead_lettered: [SINGLE, BATCH].map(|group| witness.dead_lettered(group)),
            letters_missing: witness.letters_missing(),
        }
    }

    /// True when nothing was lost and the order held.
    pub fn holds(&self) -> bool {
        self.judgement.holds() && self.letters_missing == 0
    }

    /// The offenders with what happened around them.
    pub fn account(&self, witness: &Witness) -> String {
        witness.account(&self.judgement)
    }

    /// Writes every event, the judgement and the account into a new folder, and says which.
    ///
    /// # Errors
    /// When the system's folder for temporary files can't be written.
    pub fn keep(&self, witness: &Witness) -> std::io::Result<PathBuf> {
        let name = uuid::Uuid::new_v4().simple().to_string();
        let folder = std::env::temp_dir().join(format!("kurier-demo-{}", &name[..8]));
        witness.keep(&self.judgement, &folder)?;
        Ok(folder)
    }

    /// Prints it.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn write(&self, json: bool) -> std::io::Result<()> {
        if json { output::json(&self.json()) } else { output::text(&self.table()) }
    }

    fn json(&self) -> serde_json::Value {
        let pair = |[single, batch]: [u64; 2]| json!({ "single": single, "batch": batch });
        json!({
            "accepted": self.judgement.accepted,
            "delivered": self.judgement.delivered,
            "failed": self.judgement.failed,
            "in_topic": self.judgement.log.as_ref().map(|log| log.records),
            "handled": pair(self.handled()),
            "dead_lettered": pair(self.dead_lettered),
            "lost": self.lost(),
            "duplicates": pair(self.of(|group| group.duplicates)),
            "order_violations": self.judgement.order_violations(),
            "rebalances": self.rebalances,
            "broker_kills": self.kills,
            "longest_stall_ms": u64::try_from(self.judgement.longest_stall.as_millis()).unwrap_or(u64::MAX),
            "verdict": self.verdict_word(),
        })
    }

    fn table(&self) -> String {
        let judgement = &self.judgement;
        let mut text = format!("\n{:<26}{:>10}{:>10}\n", "", "single", "batch");
        for (name, [single, batch]) in [
            ("handled", self.handled()),
            ("handled again", self.of(|group| group.duplicates)),
            ("out of order", self.of(|group| group.out_of_order)),
            ("lost", self.of(|group| group.lost)),
            ("in the dead-letter topic", self.dead_lettered),
        ] {
            text += &format!("{name:<26}{single:>10}{batch:>10}\n");
        }
        text += &format!(
            "\naccepted {}, delivered {}, failed {}, without an outcome {}\n",
            judgement.accepted, judgement.delivered, judgement.failed, judgement.under_way
        );
        text += &format!(
            "brokers killed {}, rebalances {}, longest wait for an acknowledgement {} ms\n\n",
            self.kills,
            self.rebalances,
            judgement.longest_stall.as_millis()
        );
        text + &self.verdict() + "\n"
    }

    /// Messages that handlers have handled; whose copy is kept instead is not among them.
    fn handled(&self) -> [u64; 2] {
        let ([single, batch], [of_single, of_batch]) =
            (self.of(|group| group.handled), self.dead_lettered);
        // A copy may be there though the run ended before its message was told.
        [single.saturating_sub(of_single), batch.saturating_sub(of_batch)]
    }

    /// A figure of both groups.
    fn of(&self, pick: fn(&GroupJudgement) -> u64) -> [u64; 2] {
        [SINGLE, BATCH].map(|group| self.group(group).map_or(0, pick))
    }

    fn verdict(&self) -> String {
        let judgement = &self.judgement;
        match self.verdict_word() {
            "lost" => {
                format!(
                    "LOST: {} acknowledged messages are not in the topic, {} not in the dead-letter topic.",
                    judgement.lost(),
                    self.letters_missing
                )
            }
            "out of order" => {
                format!(
                    "OUT OF ORDER: {} messages overtook one of their key.",
                    judgement.order_violations()
                )
            }
            "undecided" => {
                format!("UNDECIDED: {} messages have no outcome yet.", judgement.under_way)
            }
            "broken" => {
                let broken = judgement.broken();
                let broken: Vec<String> =
                    broken.map(|kind| format!("{kind} {}", judgement.count(kind))).collect();
                format!("BROKEN: {}.", broken.join(", "))
            }
            _ => format!(
                "NOTHING LOST: {} messages, each delivered and handled by both groups, or given up with a copy kept.",
                judgement.delivered
            ),
        }
    }

    /// Messages that are not where they should be.
    pub fn lost(&self) -> u64 {
        self.judgement.lost() + self.letters_missing
    }

    fn verdict_word(&self) -> &'static str {
        if self.lost() > 0 {
            "lost"
        } else if self.judgement.order_violations() > 0 {
            "out of order"
        } else if self.judgement.under_way > 0 {
            "undecided"
        } else if !self.holds() {
            "broken"
        } else {
            "nothing lost"
        }
    }

    fn group(&self, name: &str) -> Option<&GroupJudgement> {
        self.judgement.groups.iter().find(|group| group.group == name)
    }
}
