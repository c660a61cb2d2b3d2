//! What a command says, line by line, each with the place of its message before it. *Pure* but for who
//! is given the lines.

use serde_json::json;

use crate::args::LogFormat;

/// A longer line is cut into several.
const LINE_BYTES_MAX: usize = 8 * 1024;
/// How much of a line is kept to say why a message was not handled.
const REASON_CHARS_MAX: usize = 200;

/// The output of one command.
#[derive(Debug)]
pub struct Talk {
    place: String,
    format: LogFormat,
    /// What came since the last line's end.
    line: Vec<u8>,
    last: String,
}

impl Talk {
    /// Of the command for the message, or the batch, from `place`.
    pub fn new(place: &str, format: LogFormat) -> Self {
        Self { place: place.to_owned(), format, line: Vec::new(), last: String::new() }
    }

    /// Takes what was read; returns the lines that are now whole.
    pub fn take(&mut self, read: &[u8]) -> Vec<u8> {
        let mut said = Vec::new();
        for piece in read.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_whole) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let mut text = text;
            while LINE_BYTES_MAX < self.line.len() + text.len() {
                let (fits, rest) = text.split_at(LINE_BYTES_MAX - self.line.len());
                self.line.extend_from_slice(fits);
                self.put(&mut said);
                text = rest;
            }
            self.line.extend_from_slice(text);
            if is_whole {
                self.put(&mut said);
            }
        }
        said
    }

    /// The last line, if it has no end.
    pub fn end(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        if !self.line.is_empty() {
            self.put(&mut said);
        }
        said
    }

    /// Where its message is from.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The beginning of the last line with something in it.
    pub fn last(&self) -> &str {
        &self.last
    }

    fn put(&mut self, said: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(&self.line);
        let visible = text.trim().chars().filter(|one| !one.is_control());
        let last: String = visible.take(REASON_CHARS_MAX).collect();
        if !last.is_empty() {
            self.last = last;
        }
        match self.format {
            LogFormat::Text => {
                said.extend_from_slice(self.place.as_bytes());
                said.extend_from_slice(b": ");
                said.extend_from_slice(&self.line);
            }
            LogFormat::Json => {
                let line = json!({ "from": self.place, "output": text });
                said.extend_from_slice(line.to_string().as_bytes());
            }
        }
        said.push(b'\n');
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(talk: &mut Talk, read: &[u8]) -> String {
        String::from_utf8_lossy(&talk.take(read)).into_owned()
    }

    #[test]
    fn each_line_has_its_place_however_it_was_cut_into_reads() {
        let mut talk = Talk::new("t-0@7", LogFormat::Text);
        assert_eq!(told(&mut talk, b"on"), "");
        assert_eq!(told(&mut talk, b"e\n\ntw"), "t-0@7: one\nt-0@7: \n");
        assert_eq!(talk.last(), "one");
        assert_eq!(talk.end(), b"t-0@7: tw\n");
        assert_eq!(talk.end(), b"");
        assert_eq!(talk.last(), "tw");
    }

    #[test]
    fn a_line_without_end_is_cut_and_holds_no_more_memory() {
        let mut talk = Talk::new("t-0@7", LogFormat::Text);
        let said = talk.take(&vec![b'x'; 3 * LINE_BYTES_MAX + 1]);
        assert_eq!(said.iter().filter(|byte| **byte == b'\n').count(), 3);
        assert_eq!(talk.end(), b"t-0@7: x\n");
        assert_eq!(said.len(), 3 * (LINE_BYTES_MAX + "t-0@7: \n".len()));
    }

    #[test]
    fn as_json_it_stays_one_object_a_line() {
        let mut talk = Talk::new("t-0@7", LogFormat::Json);
        assert_eq!(
            told(&mut talk, b"a \"b\"\xff\n"),
            "{\"from\":\"t-0@7\",\"output\":\"a \\\"b\\\"\u{fffd}\"}\n"
        );
    }

    #[test]
    fn a_reason_is_short_and_moves_no_cursor() {
        let mut talk = Talk::new("t-0@7", LogFormat::Text);
        talk.take(format!("\x1b[31m{}\n \n", "é".repeat(500)).as_bytes());
        assert_eq!(talk.last(), format!("[31m{}", "é".repeat(196)));
    }
}
