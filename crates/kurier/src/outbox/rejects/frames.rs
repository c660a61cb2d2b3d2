//! Reads the frames of a file one after another, holding a piece of it, or one frame where that is larger.
//!
//! What is no frame is passed over, up to the next that is whole: a write that failed half-way may lie
//! between two that did not.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use crate::outbox::frame::{Found, HEAD, Salt, Scan, Sequence};

/// Where reading has come to.
pub(super) struct Frames {
    file: File,
    salt: Salt,
    /// The file's bytes from `offset` on, of which `at` are read.
    bytes: Vec<u8>,
    offset: u64,
    at: usize,
    /// The file ends with the bytes.
    ended: bool,
    /// Something was passed over that is not only the end of a write that was cut short.
    pub(super) passed_over: bool,
}

/// A frame, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    /// In the file.
    pub(super) at: u64,
    pub(super) sequence: Sequence,
    body: Range<usize>,
}

/// Bytes read at once.
const CHUNK: u64 = 1 << 20;

impl Frames {
    /// Of the file at `path`; `None` when there is none.
    pub(super) fn open(path: &Path, salt: Salt) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let (bytes, offset, at) = (Vec::new(), 0, 0);
        Ok(Some(Self { file, salt, bytes, offset, at, ended: false, passed_over: false }))
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> io::Result<Option<Placed>> {
        loop {
            let scan = Scan::new(&self.bytes, self.at, self.salt);
            match scan.clone().next() {
                Some(Found::Record { sequence, end, .. }) => {
                    let at = self.offset + self.at as u64;
                    let body = self.at + HEAD..end;
                    self.at = end;
                    return Ok(Some(Placed { at, sequence, body }));
                }
                found => {
                    let cut = matches!(found, None | Some(Found::Torn { .. }));
                    // A frame whose end is not there yet may be whole; one that is damaged is not.
                    if !self.ended && (cut || scan.whole_from(self.at + 1).is_none()) {
                        self.more()?;
                    } else if let Some(whole) = scan.whole_from(self.at + 1) {
                        self.at = whole;
                        self.passed_over = true;
                    } else {
                        self.passed_over |= !cut;
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// The body of the frame that was given last.
    pub(super) fn body(&self, placed: &Placed) -> &[u8] {
        &self.bytes[placed.body.clone()]
    }

    /// Goes to a place in the file.
    pub(super) fn go_to(&mut self, place: u64) -> io::Result<()> {
        match place.checked_sub(self.offset) {
            Some(at) if at <= self.bytes.len() as u64 => self.at = at as usize,
            _ => {
                self.file.seek(SeekFrom::Start(place))?;
                self.bytes.clear();
                (self.offset, self.at, self.ended) = (place, 0, false);
            }
        }
        Ok(())
    }

    fn more(&mut self) -> io::Result<()> {
        self.bytes.drain(..self.at);
        self.offset += self.at as u64;
        self.at = 0;
        let wanted = CHUNK.max(self.bytes.len() as u64);
        let read = (&mut self.file).take(wanted).read_to_end(&mut self.bytes)?;
        self.ended = (read as u64) < wanted;
        Ok(())
    }
}
