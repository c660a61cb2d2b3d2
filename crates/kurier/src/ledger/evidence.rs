//! The events of a run as lines of JSON, to be kept and read later. The only part of the ledger that
//! writes.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::entry::{Attempt, Entry, MemberNo, MessageNo, Place, What};
use super::told::FailedDelivery;
use super::{Found, Judgement, Ledger};

impl Ledger {
    /// Writes `events.ndjson` (see [`write_events`](Self::write_events)), `judgement.json` and
    /// `account.txt` (see [`account`](Self::account)) into `folder`, which is made if need be. Files of
    /// these names are overwritten.
    ///
    /// # Errors
    /// When the folder or a file in it can't be written.
    pub fn keep(&self, judgement: &Judgement, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut events = BufWriter::new(File::create(folder.join("events.ndjson"))?);
        self.write_events(&mut events)?;
        events.flush()?;
        fs::write(folder.join("judgement.json"), serde_json::to_vec_pretty(judgement)?)?;
        fs::write(folder.join("account.txt"), self.account(judgement))
    }

    /// Writes every event as one line of JSON, in their order, then every record of the audits. Each
    /// event has its number (`event`, from 0), its time since the run began (`at_us`, microseconds),
    /// what it was (`what`), and what it was about.
    ///
    /// # Errors
    /// When `out` can't be written.
    pub fn write_events(&self, out: &mut impl Write) -> io::Result<()> {
        for (number, entry) in self.entries.iter().enumerate() {
            let at = u64::try_from(entry.at.as_micros()).unwrap_or(u64::MAX);
            let mut line = self.fields(entry);
            line.insert("event".into(), number.into());
            line.insert("at_us".into(), at.into());
            write_line(out, line)?;
        }
        for found in self.audits.values().flatten() {
            let mut line = Map::new();
            line.insert("what".into(), "found".into());
            self.put_place(&mut line, found.place);
            if let Found { message: Some(message), .. } = *found {
                self.put_message(&mut line, message);
                line.insert("as_sent".into(), (!self.differs(message, found.content)).into());
            }
            write_line(out, line)?;
        }
        Ok(())
    }

    fn fields(&self, entry: &Entry) -> Map<String, Value> {
        let mut line = Map::new();
        line.insert("what".into(), what(entry.what).into());
        match entry.what {
            What::Intended(message) => {
                self.put_message(&mut line, message);
                if let Some(sent) = self.messages[message].sent {
                    let key = String::from_utf8_lossy(self.messages.of_key(sent.key));
                    line.insert("key".into(), key.into());
                }
            }
            What::Accepted(message) | What::Refused(message) | What::Failed(message, _) => {
                self.put_message(&mut line, message);
            }
            What::Delivered(message, place) => {
                self.put_message(&mut line, message);
                place.into_iter().for_each(|place| self.put_place(&mut line, place));
            }
            What::Assigned(by, partition)
            | What::Revoked(by, partition)
            | What::Lost(by, partition) => {
                self.put_member(&mut line, by);
                let partition = self.names.of_partition(partition);
                line.insert("partition".into(), json!(partition.to_string()));
            }
            What::Started { by, place, attempt } => {
                self.put_member(&mut line, by);
                self.put_place(&mut line, place);
                line.insert("again".into(), (attempt == Attempt::Again).into());
            }
            What::Handled { by, message, place } => {
                self.put_member(&mut line, by);
                message.into_iter().for_each(|message| self.put_message(&mut line, message));
                place.into_iter().for_each(|place| self.put_place(&mut line, place));
            }
            What::Committed { by, next } => {
                self.put_member(&mut line, by);
                self.put_place(&mut line, next);
            }
            What::Note(note) => {
                line.insert("note".into(), self.names.of_note(note).into());
            }
        }
        line
    }

    fn put_message(&self, line: &mut Map<String, Value>, message: MessageNo) {
        line.insert("message".into(), json!(self.messages[message].id));
    }

    fn put_member(&self, line: &mut Map<String, Value>, by: MemberNo) {
        let member = self.names.of_member(by);
        line.insert("group".into(), json!(self.groups[member.group].name));
        line.insert("instance".into(), json!(member.name));
    }

    fn put_place(&self, line: &mut Map<String, Value>, place: Place) {
        let partition = self.names.of_partition(place.partition);
        line.insert("partition".into(), json!(partition.to_string()));
        line.insert("offset".into(), place.offset.0.into());
    }
}

/// What an event was, in one word.
pub(super) fn what(what: What) -> &'static str {
    match what {
        What::Intended(_) => "intended",
        What::Accepted(_) => "accepted",
        What::Refused(_) => "refused",
        What::Delivered(..) => "delivered",
        What::Failed(_, FailedDelivery::Definite) => "failed",
        What::Failed(_, FailedDelivery::Unknown) => "failed_unknown",
        What::Assigned(..) => "assigned",
        What::Revoked(..) => "revoked",
        What::Lost(..) => "lost",
        What::Started { .. } => "started",
        What::Handled { .. } => "handled",
        What::Committed { .. } => "committed",
        What::Note(_) => "note",
    }
}

fn write_line(out: &mut impl Write, line: Map<String, Value>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Value::Object(line))?;
    out.write_all(b"\n")
}
